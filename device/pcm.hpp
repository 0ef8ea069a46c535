// Statistics of phase-change (and other resistive) memory: programming noise, drift, read noise. Values with sources, all replaceable.
// Equations and conventions: docs/theory.md, "Device statistics". g = G / g_max throughout.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/types.hpp"
#include "device/short_noise.hpp"
#include "device/telegraph.hpp"

namespace crosstile::device {

/// Smallest g that enters a logarithm or a power; cells programmed to 0 still have statistics.
inline constexpr double kSmallestLogG = 1e-7;

struct ProgrammingNoise {
  std::vector<double> sigma_siemens;  ///< polynomial in target g, lowest power first; sigma of the programmed G
  double sigma(double g) const;       ///< siemens; the polynomial at g
};

/// G(t) = G(t0) (t / t0)^-nu with nu = |N(mu, s)|, mu = clip(mu_log ln g + mu_0, mu_low, mu_high), s alike.
/// g is the *target*, at least kSmallestLogG; t counts from programming.
struct Drift {
  double t0_s = 20.0;
  double mu_log = -0.0155, mu_0 = 0.0244, mu_low = 0.049, mu_high = 0.1;
  double s_log = -0.0125, s_0 = -0.0059, s_low = 0.008, s_high = 0.045;
  double mean(double g) const;    ///< mu, before the absolute value is taken
  double spread(double g) const;  ///< s, before the absolute value is taken
};

/// Read noise accumulated since programming: sigma = G_drifted Q_s sqrt(ln((t + t_r) / (2 t_r))), Q_s = min(q_1 g^q_power, q_max).
/// g is the *target*, at least kSmallestLogG.
struct AccumulatedReadNoise {
  double q_1 = 0.0088, q_power = -0.65, q_max = 0.2, t_r_s = 250e-9;
  double q_s(double g) const;
  double time_factor(double t_s) const;  ///< sqrt(ln((t + t_r) / (2 t_r))); t >= t_r, else Error(usage)
};

/// Iterative program-and-verify. A device whose read conductance is off its target by more than the tolerance gets another pulse,
///   G <- G + gain (target - read) + pulse_noise sigma_prog(g) n,    read = G + read_sigma n',
/// clipped at 0, until it is inside or max_pulses are spent. gain = 1, pulse_noise = 1: every pulse programs anew. Defaults assumed.
struct ProgramVerify {
  int max_pulses = 0;  ///< after the first; 0: single shot
  double tolerance_siemens = 0.5e-6;
  double gain = 1.0;
  double pulse_noise = 1.0;
  double read_sigma_siemens = 0.0;
};

/// Devices that do not program: stuck at a low or a high conductance, which they keep (no drift; their read noise is that of a
/// device with this target). Yield: 1 - share_low - share_high.
struct StuckDevices {
  double share_low = 0.0, share_high = 0.0;
  double g_low_siemens = 0.0, g_high_siemens = 25e-6;
};

struct PcmModel {
  std::string name = "pcm-2019";
  std::string source;
  double g_max_siemens = 25e-6;
  ProgrammingNoise programming;
  ProgramVerify verify;
  StuckDevices stuck;
  Drift drift;
  AccumulatedReadNoise read;
  ShortNoise trace;           ///< noise inside and between products, as a process (random_access_trace.hpp)
  TelegraphModel telegraph;   ///< random telegraph noise beside it; off by default

  /// Throws a usage Error naming the first field that is not finite or outside its range (sigma negative for a g in 0..1,
  /// t0 or t_r not positive, limits the wrong way round, ...).
  void validate() const;
};

/// The published defaults for a given g_max; see docs/theory.md for sources. Programming sigma scales with g_max / 25 uS.
PcmModel pcm_default(double g_max_siemens = 25e-6);

/// A named published set; Error(usage) lists the names. "pcm-2019" is pcm_default(). The others replace the programming polynomial
/// and g_max: "pcm-hermes-2" and "pcm-hermes-1" (two or one device per weight; drift and read noise of pcm-2019, assumed), and
/// "rram-1s", "rram-1day", "rram-2days" (deviation from target after that time: t0 is that time, no drift and no accumulated read
/// noise are published, both are off).
PcmModel device_model(std::string_view name);
std::vector<std::string> device_model_names();

/// An array as programmed: what stays fixed for its lifetime.
struct ProgrammedArray {
  Matrix target_siemens;      ///< rows x cols
  Matrix programmed_siemens;  ///< at t0, clipped at 0
  Matrix nu;                  ///< drift exponents; 0 for stuck devices
  IntMatrix pulses{};         ///< pulses spent, 1 with a single shot; empty: not known
  IntMatrix stuck{};          ///< -1 stuck low, 1 stuck high, 0 works; empty: all work
};
/// Share of the devices within `tolerance_siemens` of their target at t0.
double programming_yield(const ProgrammedArray& array, double tolerance_siemens);

/// Draws from streams programming and drift of (seed, tile). The two arrays of a pair need two `tile` numbers: idle cells have
/// their own noise. Errors: usage for a target outside 0..g_max (row and column are named).
ProgrammedArray program(const PcmModel& model, const Matrix& target_siemens, std::uint64_t seed, std::uint32_t tile);

/// Conductances t seconds after programming (t >= t0): drift, then accumulated read noise drawn for this (seed, tile, event);
/// clipped at 0. "After one hour" is t = t0 + 3600 s, for drift and noise alike. Errors: usage for t < t0 or array shapes that
/// differ.
Matrix conductance_at(const PcmModel& model, const ProgrammedArray& array, double t_s, std::uint64_t seed, std::uint32_t tile,
                      std::uint64_t event);

}  // namespace crosstile::device
