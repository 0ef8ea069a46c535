# Pictures of the device models: characterize_figures.py DATA.h5 FOLDER
import os
import sys

try:
    import h5py
    import matplotlib
    import numpy as np
except ImportError as error:
    sys.stderr.write("%s\n" % error)
    sys.exit(86)
matplotlib.use("Agg")
import matplotlib.pyplot as plt

COLOURS = ["#2f86d1", "#dd6a26", "#17976f", "#b065ab", "#c9951a"]  # told apart without colour vision (after Okabe and Ito)
plt.rcParams.update({
    "font.size": 11, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": "#e3e6ea", "grid.linewidth": 0.7,
    "axes.axisbelow": True, "axes.titlesize": 12, "axes.titlelocation": "left", "axes.titleweight": "bold", "legend.frameon": False,
    "legend.fontsize": 9.5, "lines.linewidth": 1.6, "savefig.dpi": 150,
})


def save(figure, folder, name):
    path = os.path.join(folder, name)
    figure.savefig(path + ".new", format="png", bbox_inches="tight", metadata={"Software": None})
    os.replace(path + ".new", path)
    plt.close(figure)


def read_noise(data, folder):
    figure, axes = plt.subplots(figsize=(7.2, 4.8))
    t, fine = data["read_noise_t_s"][:], data["read_noise_fine_t_s"][:]
    for k, g in enumerate(data["read_noise_g_siemens"][:]):
        axes.plot(1e9 * fine, 1e6 * data["read_noise_published_siemens"][:, k], "--", color=COLOURS[k], linewidth=1.1)
        axes.plot(1e9 * fine, 1e6 * data["read_noise_model_siemens"][:, k], color=COLOURS[k], alpha=0.45, linewidth=2.6)
        axes.errorbar(1e9 * t, 1e6 * data["read_noise_sigma_siemens"][:, k], yerr=1.96e6 * data["read_noise_error_siemens"][:, k], fmt="o",
                      markersize=4, capsize=2, color=COLOURS[k], label="%g µS" % (1e6 * g))
    axes.plot([], [], "--", color="#555555", linewidth=1.1, label="published")
    axes.plot([], [], color="#555555", alpha=0.45, linewidth=2.6, label="fitted spectrum")
    axes.set(xscale="log", yscale="log", xlabel="integration time T (ns)", ylabel="standard deviation of the read conductance (µS)",
             title="Read noise against integration time")
    axes.set_yticks([0.05, 0.1, 0.2, 0.5, 1.0], ["0.05", "0.1", "0.2", "0.5", "1"])
    axes.set_xticks([1, 10, 100, 1000], ["1", "10", "100", "1000"])
    axes.legend(ncols=2, loc="lower left")
    save(figure, folder, "read_noise.png")


def spectrum(data, folder):
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6))
    for k, (key, label) in enumerate((("fitted", "fitted spectrum"), ("pink", "pure 1/f"))):
        left.plot(data[key + "_hz"][:], data[key + "_per_hz"][:], color=COLOURS[k], label=label + ", closed form")
        left.plot(data[key + "_measured_hz"][:], data[key + "_measured_per_hz"][:], "o", markersize=3.5, color=COLOURS[k], label=label + ", traces (Welch)")
        right.plot(1e9 * data[key + "_allan_t_s"][:], data[key + "_allan"][:], color=COLOURS[k], label=label)
    left.set(xscale="log", yscale="log", xlabel="frequency (Hz)", ylabel="relative power density (1/Hz)", title="Spectrum of the relative noise")
    left.legend()
    right.set(xscale="log", yscale="log", xlabel="integration time (ns)", ylabel="Allan variance, relative", title="Allan variance")
    right.legend()
    figure.tight_layout()
    save(figure, folder, "spectrum.png")


def drift(data, folder):
    targets = data["drift_target_siemens"][:]
    figure, axes = plt.subplots(1, len(targets), figsize=(12, 4.3))
    t, percent = data["drift_t_s"][:], data["percentiles"][:]
    for k, (one, target) in enumerate(zip(axes, targets)):
        fan = 1e6 * data["drift_fan_siemens"][k]
        one.fill_between(t, fan[:, 0], fan[:, -1], color=COLOURS[0], alpha=0.18, linewidth=0, label="%g to %g %%" % (percent[0], percent[-1]))
        one.fill_between(t, fan[:, 1], fan[:, -2], color=COLOURS[0], alpha=0.3, linewidth=0, label="%g to %g %%" % (percent[1], percent[-2]))
        one.plot(t, fan[:, 2], color=COLOURS[0], label="median")
        one.plot(t, 1e6 * data["drift_mean_siemens"][:, k], "--", color=COLOURS[1], linewidth=1.2, label="target with mean exponent")
        one.set(xscale="log", xlabel="time since programming (s)", title="target %.3g µS" % (1e6 * target))
        one.set_ylim(bottom=0)
        for when, name in ((3600.0, "1 h"), (86400.0, "1 day"), (31536000.0, "1 year")):
            if t[0] < when <= t[-1] * 1.001:
                one.axvline(when, color="#9aa0a6", linewidth=0.8, linestyle=":")
                one.text(when, 0.02, name + " ", rotation=90, ha="right", va="bottom", color="#6b7178", fontsize=8.5, transform=one.get_xaxis_transform())
    axes[0].set_ylabel("conductance (µS)")
    axes[-1].legend(loc="lower left")
    figure.suptitle("Drift and read noise, model %s, %d devices" % (data.attrs["model"].decode() if isinstance(data.attrs["model"], bytes)
                                                                    else data.attrs["model"], data.attrs["devices"]), x=0.01, ha="left")
    figure.tight_layout()
    save(figure, folder, "drift.png")


def programming(data, folder):
    figure, axes = plt.subplots(figsize=(7.2, 4.8))
    target, sigma = 1e6 * data["programming_target_siemens"][:], 1e6 * data["programming_sigma_siemens"][:]
    for k, (key, label) in enumerate((("single", "single shot"), ("verified", "verified, up to %d pulses more" % data.attrs["programming_max_pulses"]))):
        fan = 1e6 * data["programming_%s_siemens" % key][:]
        axes.fill_between(target, fan[:, 0], fan[:, -1], color=COLOURS[k], alpha=0.25, linewidth=0, label=label + ", 5 to 95 %")
        axes.plot(target, fan[:, 2], color=COLOURS[k], linewidth=1.2)
    axes.plot(target, 1.645 * sigma, "--", color="#444444", linewidth=1.1, label="±1.645 times the model's sigma")
    axes.plot(target, -1.645 * sigma, "--", color="#444444", linewidth=1.1)
    axes.set(xlabel="target conductance (µS)", ylabel="programmed minus target (µS)", title="Programming error against target")
    axes.set_ylim(bottom=1.55 * axes.get_ylim()[0])  # room for the legend
    axes.legend(loc="lower left")
    save(figure, folder, "programming.png")


with h5py.File(sys.argv[1], "r") as source:
    for draw in (read_noise, spectrum, drift, programming):
        draw(source, sys.argv[2])
