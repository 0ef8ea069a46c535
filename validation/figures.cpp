#include "validation/figures.hpp"

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "data/hdf5_file.hpp"

namespace crosstile::validation {

namespace {

[[noreturn]] void refuse(const std::string& field, const std::string& why) {
  throw Error(ErrorKind::usage, field + " " + why);
}

template <typename Dense>
void require_finite(const std::string& field, const Dense& values) {
  if (!values.allFinite()) refuse(field, "holds a value that is not finite");
}

void require_fractions(const std::string& field, const Vector& values, Index epochs) {
  if (values.size() == 0) return;
  if (values.size() != epochs)
    refuse(field, "has " + std::to_string(values.size()) + " entries; allowed: none, or one per epoch (" +
                      std::to_string(epochs) + ")");
  for (Index k = 0; k < epochs; ++k) require_in_range(field, values(k), 0.0, 1.0);
}

std::string as_list(const std::vector<std::string>& labels) {
  return nlohmann::json(labels).dump();
}

/// One group of curves: n x k values with k labels; an empty matrix leaves the group out.
struct FigureCurves {
  std::string field;
  const Matrix& values;
  const std::vector<std::string>& labels;
  std::string unit;
};

void add_curves(data::Hdf5Writer& out, const FigureCurves& curves, Index times) {
  if (curves.values.size() == 0) {
    if (!curves.labels.empty()) refuse(curves.field, "is empty but has labels");
    return;
  }
  if (curves.values.rows() != times)
    refuse(curves.field,
           "has " + std::to_string(curves.values.rows()) + " rows for " + std::to_string(times) + " times");
  if (curves.values.cols() != static_cast<Index>(curves.labels.size()))
    refuse(curves.field, "has " + std::to_string(curves.values.cols()) + " columns for " +
                             std::to_string(curves.labels.size()) + " labels");
  require_finite(curves.field, curves.values);
  out.matrix(curves.field, curves.values, curves.unit);
  out.text(curves.field + "_labels", as_list(curves.labels));
}

}  // namespace

void write_waveforms(const std::filesystem::path& path, const Waveforms& waveforms) {
  const Index times = waveforms.time_s.size();
  if (times < 2) refuse("waveforms.time_s", "has " + std::to_string(times) + " entries; allowed: at least 2");
  require_finite("waveforms.time_s", waveforms.time_s);
  for (Index k = 1; k < times; ++k)
    if (waveforms.time_s(k) < waveforms.time_s(k - 1))
      refuse("waveforms.time_s", "goes back at entry " + std::to_string(k));
  if (waveforms.sense_current_ampere.size() == 0) refuse("waveforms.sense_current_ampere", "is empty");
  require_finite("waveforms.pulse_end_s", waveforms.pulse_end_s);

  data::Hdf5Writer out("waveforms", 1);
  out.text("description", waveforms.description);
  out.vector("time_s", waveforms.time_s, "s");
  add_curves(out, {"sense_current_ampere", waveforms.sense_current_ampere, waveforms.sense_labels, "A"},
             times);
  add_curves(out, {"row_voltage_volt", waveforms.row_voltage_volt, waveforms.row_labels, "V"}, times);
  add_curves(out, {"column_voltage_volt", waveforms.column_voltage_volt, waveforms.column_labels, "V"},
             times);
  if (waveforms.pulse_end_s.size() > 0) out.vector("pulse_end_s", waveforms.pulse_end_s, "s");
  out.write(path);
}

void write_node_voltages(const std::filesystem::path& path, const NodeVoltages& voltages) {
  const Matrix& rows = voltages.row_voltage_volt;
  const Matrix& columns = voltages.column_voltage_volt;
  if (rows.size() == 0) refuse("node voltages: row_voltage_volt", "is empty");
  if (rows.rows() != columns.rows() || rows.cols() != columns.cols())
    refuse("node voltages: column_voltage_volt", "differs in shape from row_voltage_volt");
  require_finite("node voltages: row_voltage_volt", rows);
  require_finite("node voltages: column_voltage_volt", columns);
  require_in_range("node voltages: v_read_volt", voltages.v_read_volt, 1e-12, 1e6);
  const Vector drive = voltages.row_drive.size() > 0 ? voltages.row_drive : Vector(Vector::Ones(rows.rows()));
  if (drive.size() != rows.rows())
    refuse("node voltages: row_drive",
           "has " + std::to_string(drive.size()) + " entries for " + std::to_string(rows.rows()) + " rows");
  require_finite("node voltages: row_drive", drive);
  const IntVector on = voltages.row_on.size() > 0 ? voltages.row_on : IntVector(IntVector::Ones(rows.rows()));
  if (on.size() != rows.rows())
    refuse("node voltages: row_on",
           "has " + std::to_string(on.size()) + " entries for " + std::to_string(rows.rows()) + " rows");
  for (Index i = 0; i < on.size(); ++i) require_in_range("node voltages: row_on", on(i), 0, 1);

  data::Hdf5Writer out("node-voltages", 1);
  out.text("description", voltages.description);
  out.number("v_read_volt", voltages.v_read_volt);
  out.matrix("row_voltage_volt", rows, "V");
  out.matrix("column_voltage_volt", columns, "V");
  out.vector("row_drive", drive, "1");
  out.integers("row_on", on, "1");
  out.write(path);
}

void write_accuracy(const std::filesystem::path& path, const Accuracy& accuracy) {
  const auto count = static_cast<Index>(accuracy.bars.size());
  if (count == 0) refuse("accuracy.bars", "is empty");
  std::vector<std::string> labels;
  Vector value(count), error(count);
  IntMatrix repetitions(count, 1);
  for (Index k = 0; k < count; ++k) {
    const AccuracyBar& bar = accuracy.bars[static_cast<std::size_t>(k)];
    require_in_range("accuracy of \"" + bar.label + "\"", bar.accuracy, 0.0, 1.0);
    require_in_range("standard error of \"" + bar.label + "\"", bar.standard_error, 0.0, 1.0);
    labels.push_back(bar.label);
    value(k) = bar.accuracy;
    error(k) = bar.standard_error;
    repetitions(k, 0) = static_cast<int>(bar.repetitions);
  }
  data::Hdf5Writer out("accuracy", 1);
  out.text("description", accuracy.description);
  out.text("labels", as_list(labels));
  out.number("images", static_cast<double>(accuracy.images));
  out.vector("accuracy", value, "1");
  out.vector("standard_error", error, "1");
  out.integers("repetitions", repetitions, "1");
  out.write(path);
}

double binomial_standard_error(double fraction, Index count) {
  require_in_range("fraction", fraction, 0.0, 1.0);
  require_in_range("count", static_cast<double>(count), 1.0, 1e15);
  return std::sqrt(fraction * (1.0 - fraction) / static_cast<double>(count));
}

void write_training(const std::filesystem::path& path, const Training& training) {
  const Index epochs = training.loss.size();
  if (epochs == 0) refuse("training.loss", "is empty");
  require_finite("training.loss", training.loss);
  require_fractions("training.train_accuracy", training.train_accuracy, epochs);
  require_fractions("training.test_accuracy", training.test_accuracy, epochs);
  data::Hdf5Writer out("training", 1);
  out.text("description", training.description);
  out.vector("loss", training.loss, "nat");
  if (training.train_accuracy.size() > 0) out.vector("train_accuracy", training.train_accuracy, "1");
  if (training.test_accuracy.size() > 0) out.vector("test_accuracy", training.test_accuracy, "1");
  if (training.seconds) out.number("seconds", *training.seconds);
  out.write(path);
}

}  // namespace crosstile::validation
