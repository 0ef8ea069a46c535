#include "device/model_file.hpp"

#include <charconv>
#include <cmath>
#include <functional>
#include <sstream>

#include "core/error.hpp"

namespace crosstile::device {

namespace {

constexpr double kMicroSiemens = 1e-6, kNanosecond = 1e-9;
constexpr double kAny = 1e30;

// One list of keys for reading and writing: what it is called, where it stands, its unit and range.
template <typename Model, typename Visitor>
void visit_numbers(Model& m, const Visitor& number) {
  number("g_max_uS", m.g_max_siemens, kMicroSiemens, 1e-6, 1e6, "largest conductance a device is programmed to");
  number("verify.tolerance_uS", m.verify.tolerance_siemens, kMicroSiemens, 0.0, 1e6, "programmed until |read - target| is inside");
  number("verify.gain", m.verify.gain, 1.0, 0.0, 2.0, "a pulse moves the device by this times what is missing ...");
  number("verify.pulse_noise", m.verify.pulse_noise, 1.0, 0.0, 100.0, "... and by this times the programming noise, at random");
  number("verify.read_sigma_uS", m.verify.read_sigma_siemens, kMicroSiemens, 0.0, 1e6, "noise of the verifying read");
  number("stuck.share_low", m.stuck.share_low, 1.0, 0.0, 1.0, "devices stuck at g_low");
  number("stuck.share_high", m.stuck.share_high, 1.0, 0.0, 1.0, "devices stuck at g_high");
  number("stuck.g_low_uS", m.stuck.g_low_siemens, kMicroSiemens, 0.0, 1e6, "");
  number("stuck.g_high_uS", m.stuck.g_high_siemens, kMicroSiemens, 0.0, 1e6, "");
  number("drift.t0_s", m.drift.t0_s, 1.0, 1e-12, 1e12, "first read; time counts from programming");
  number("drift.mu_log", m.drift.mu_log, 1.0, -kAny, kAny, "mean exponent: mu_log ln(g) + mu_0 ...");
  number("drift.mu_0", m.drift.mu_0, 1.0, -kAny, kAny, "");
  number("drift.mu_low", m.drift.mu_low, 1.0, 0.0, kAny, "... within mu_low .. mu_high");
  number("drift.mu_high", m.drift.mu_high, 1.0, 0.0, kAny, "");
  number("drift.s_log", m.drift.s_log, 1.0, -kAny, kAny, "spread of the exponent, likewise");
  number("drift.s_0", m.drift.s_0, 1.0, -kAny, kAny, "");
  number("drift.s_low", m.drift.s_low, 1.0, 0.0, kAny, "");
  number("drift.s_high", m.drift.s_high, 1.0, 0.0, kAny, "");
  number("read_noise.q_1", m.read.q_1, 1.0, 0.0, kAny, "Q = min(q_1 g^q_power, q_max); sigma = G Q sqrt(ln((t + t_r) / 2 t_r))");
  number("read_noise.q_power", m.read.q_power, 1.0, -10.0, 10.0, "");
  number("read_noise.q_max", m.read.q_max, 1.0, 0.0, kAny, "");
  number("read_noise.t_r_ns", m.read.t_r_s, kNanosecond, 1e-6, 1e21, "length of a read");
  number("trace.exponent", m.trace.shape.exponent, 1.0, 0.0, 2.0, "spectrum f^-exponent between the corners ...");
  number("trace.corner_low_hz", m.trace.shape.corner_low_hz, 1.0, 1e-12, 1e18, "");
  number("trace.corner_high_hz", m.trace.shape.corner_high_hz, 1.0, 1e-12, 1e18, "");
  number("trace.variance", m.trace.shape.variance, 1.0, 0.0, kAny, "... of the relative noise, all corners together");
  number("trace.white_per_hz", m.trace.shape.white_per_hz, 1.0, 0.0, kAny, "one-sided, relative");
  number("trace.g_offset_uS", m.trace.g_offset_siemens, kMicroSiemens, 0.0, 1e6, "noise = (G + g_offset) times the relative process");
  number("telegraph.traps_per_device", m.telegraph.traps_per_device, 1.0, 0.0, 100.0, "mean number; 0: no telegraph noise");
  number("telegraph.corner_low_hz", m.telegraph.corner_low_hz, 1.0, 1e-9, 1e12, "");
  number("telegraph.corner_high_hz", m.telegraph.corner_high_hz, 1.0, 1e-9, 1e12, "");
  number("telegraph.relative_amplitude", m.telegraph.relative_amplitude, 1.0, 0.0, 1.0, "mean of |change of G| / G");
}

std::string shortest_number(double value) {
  char text[64];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  std::string shown(text, end);
  if (shown.find_first_of(".en") == std::string::npos) shown += ".0";
  return shown;
}

// In the file's unit, and back to the same double: a quotient may have lost its last bit, the next ones are tried.
double in_unit(double value, double unit) {
  double scaled = value / unit;
  for (const double near : {scaled, std::nextafter(scaled, kAny), std::nextafter(scaled, -kAny)})
    if (near * unit == value) return near;
  return scaled;
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c == '\n' ? ' ' : c;
  }
  return out + "\"";
}

void check_whole(data::Config& config, const std::string& table, const PcmModel& model) {
  try {
    model.validate();
  } catch (const Error& error) {
    config.mistake(table.empty() ? "g_max_uS" : table, error.what());
  }
}

}  // namespace

PcmModel read_device_model(data::Config& config, const std::string& table) {
  const auto key = [&](const std::string& name) { return table.empty() ? name : table + "." + name; };
  const std::string base = config.choice(key("base"), "pcm-2019", device_model_names());
  PcmModel model = device_model(base);
  model.name = config.text(key("name"), base);
  model.source = config.text(key("source"), model.source);
  const double base_g_max = model.g_max_siemens;
  visit_numbers(model, [&](const char* name, double& value, double unit, double low, double high, const char*) {
    value = config.number(key(name), in_unit(value, unit), low, high) * unit;
  });
  // The published programming polynomial belongs to its own g_max and scales with it.
  std::vector<double> sigma = model.programming.sigma_siemens;
  for (double& c : sigma) c = in_unit(c * (model.g_max_siemens / base_g_max), kMicroSiemens);
  sigma = config.numbers(key("programming.sigma_uS"), sigma, -1e9, 1e9);
  if (sigma.empty()) config.mistake(key("programming.sigma_uS"), "needs at least one number");
  for (double& c : sigma) c *= kMicroSiemens;
  model.programming.sigma_siemens = sigma;
  model.verify.max_pulses = static_cast<int>(config.integer(key("verify.max_pulses"), model.verify.max_pulses, 0, 1'000'000));
  model.trace.shape.corners_per_decade =
      static_cast<int>(config.integer(key("trace.corners_per_decade"), model.trace.shape.corners_per_decade, 1, 100));
  check_whole(config, table, model);
  return model;
}

PcmModel load_device_model(const std::filesystem::path& path) {
  data::Config config = data::Config::from_file(path);
  PcmModel model = read_device_model(config, config.has("device") ? "device" : "");
  config.finish();
  return model;
}

PcmModel find_device_model(const std::string& name_or_path) {
  if (std::filesystem::path(name_or_path).extension() == ".toml") return load_device_model(name_or_path);
  for (const auto& name : device_model_names())
    if (name == name_or_path) return device_model(name);
  std::string known;
  for (const auto& name : device_model_names()) known += name + ", ";
  throw Error(ErrorKind::usage, "device model \"" + name_or_path + "\" is not known; allowed: " + known + "or a file that ends in .toml");
}

std::string device_model_to_toml(const PcmModel& model, const std::string& comment, const std::string& table) {
  std::ostringstream out;
  std::istringstream lines(comment);
  for (std::string line; std::getline(lines, line);) out << (line.empty() ? "#" : "# ") << line << "\n";
  std::string base = "pcm-2019";
  for (const auto& name : device_model_names())
    if (name == model.name) base = name;
  const std::string prefix = table.empty() ? "" : table + ".";
  if (!table.empty()) out << "[" << table << "]\n";
  out << "name = " << quoted(model.name) << "\nbase = " << quoted(base) << "  # what is not given below\nsource = " << quoted(model.source)
      << "\n";
  std::string section;
  const auto begin = [&](const std::string& name) {
    const auto dot = name.find('.');
    const std::string now = dot == std::string::npos ? "" : name.substr(0, dot);
    if (now != section) {
      out << "\n[" << prefix << now << "]\n";
      section = now;
      if (now == "verify") out << "max_pulses = " << model.verify.max_pulses << "  # after the first; 0: single shot\n";
      if (now == "trace") out << "corners_per_decade = " << model.trace.shape.corners_per_decade << "\n";
    }
    return dot == std::string::npos ? name : name.substr(dot + 1);
  };
  visit_numbers(model, [&](const char* name, const double& value, double unit, double, double, const char* what) {
    out << begin(name) << " = " << shortest_number(in_unit(value, unit));
    if (*what != '\0') out << "  # " << what;
    out << "\n";
    if (std::string(name) != "g_max_uS") return;
    out << "\n[" << prefix << "programming]\nsigma_uS = [";
    for (std::size_t k = 0; k < model.programming.sigma_siemens.size(); ++k)
      out << (k > 0 ? ", " : "") << shortest_number(in_unit(model.programming.sigma_siemens[k], kMicroSiemens));
    out << "]  # polynomial in g = target / g_max, lowest power first\n";
  });
  return out.str();
}

}  // namespace crosstile::device
