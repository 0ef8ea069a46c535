// The data behind the report's pictures, as small HDF5 files. Whoever runs a stage fills a struct and writes
// it; the report draws what it finds. Formats: docs/file_format.md. Every write is atomic; errors: usage
// naming the field whose shape or value is wrong; io.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/types.hpp"

namespace crosstile::validation {

/// A transient at chosen places (waveforms.h5, kind "waveforms").
struct Waveforms {
  std::string description;                 ///< tile, input and solver in a sentence
  Vector time_s;                           ///< n, increasing, from the begin of the window
  Matrix sense_current_ampere;             ///< n x k
  std::vector<std::string> sense_labels;   ///< k, "column 0"
  Matrix row_voltage_volt;                 ///< n x r, or empty
  std::vector<std::string> row_labels;     ///< r, "row 3, column 127"
  Matrix column_voltage_volt;              ///< n x c, or empty
  std::vector<std::string> column_labels;  ///< c
  Vector pulse_end_s;                      ///< where pulses end; may be empty
};
void write_waveforms(const std::filesystem::path& path, const Waveforms& waveforms);

/// Node voltages of one steady state (irdrop.h5, kind "node-voltages"), relative to the virtual ground.
struct NodeVoltages {
  std::string description;     ///< tile, weights and input in a sentence
  Matrix row_voltage_volt;     ///< rows x cols, on the row wire
  Matrix column_voltage_volt;  ///< rows x cols, on the column wire
  double v_read_volt = 0.2;
  Vector row_drive;  ///< rows: driver voltage of each row over v_read (1, 0, -1; 1 on idle rows of a gated
                     ///< tile too); empty: all 1
  IntVector row_on;  ///< rows: 1 where the row has its pulse, 0 on idle rows, whose cells the map leaves
                     ///< blank; empty: all 1
};
void write_node_voltages(const std::filesystem::path& path, const NodeVoltages& voltages);

/// Test accuracies side by side (accuracy.h5, kind "accuracy").
struct AccuracyBar {
  std::string label;      ///< "digital", "ideal tile", "IR-drop + ADC", "noise, 1 day"
  double accuracy = 0.0;  ///< fraction right, 0..1
  double standard_error =
      0.0;  ///< of the mean over the repetitions, or binomial over the images when there is one
  Index repetitions = 1;
};
struct Accuracy {
  std::string description;  ///< network, data set and tiles in a sentence
  Index images = 0;
  std::vector<AccuracyBar> bars;
};
void write_accuracy(const std::filesystem::path& path, const Accuracy& accuracy);
/// sqrt(p (1 - p) / n).
double binomial_standard_error(double fraction, Index count);

/// The course of a training (training.h5, kind "training"); one entry an epoch.
struct Training {
  std::string description;
  Vector loss;                    ///< mean cross-entropy over the training images
  Vector train_accuracy;          ///< 0..1, or empty
  Vector test_accuracy;           ///< 0..1, or empty
  std::optional<double> seconds;  ///< wall clock of the training
};
void write_training(const std::filesystem::path& path, const Training& training);

}  // namespace crosstile::validation
