// A run folder with every kind of file a report shows, in small.
#pragma once

#include <filesystem>

#include "data/run_folder.hpp"
#include "device/noise_statistics.hpp"
#include "tests/validation/sample_sets.hpp"
#include "validation/validation.hpp"

namespace crosstile::testing {

inline validation::Waveforms sample_waveforms() {
  validation::Waveforms w;
  w.description = "two columns";
  w.time_s = Vector::LinSpaced(5, 0.0, 4e-9);
  w.sense_current_ampere = (random_uniform_matrix({21, Stream::test, 0}, 5, 2).array() * 1e-6).matrix();
  w.sense_labels = {"column 0", "column 1"};
  w.pulse_end_s = Vector::Constant(1, 2e-9);
  return w;
}

inline validation::NodeVoltages sample_node_voltages() {
  validation::NodeVoltages n;
  n.description = "all rows on";
  n.row_voltage_volt = Matrix::Constant(6, 4, 0.2);
  n.column_voltage_volt = (random_uniform_matrix({22, Stream::test, 0}, 6, 4).array() * 5e-3).matrix();
  return n;
}

inline validation::Accuracy sample_accuracy() {
  return {"a perceptron", 10000, {{"digital", 0.98, 0.0014, 1}, {"tiles <with> wires", 0.97, 0.002, 5}}};
}

inline validation::Training sample_training() {
  validation::Training t;
  t.loss = Vector::LinSpaced(3, 0.5, 0.1);
  t.test_accuracy = Vector::LinSpaced(3, 0.9, 0.98);
  t.seconds = 12.5;
  return t;
}

inline device::ReadNoiseStudy sample_read_noise() {
  device::ReadNoiseStudy s;
  s.t_s = Vector::LinSpaced(3, 1e-9, 1e-7);
  s.g_siemens = Vector::LinSpaced(5, 2e-6, 25e-6);
  s.sigma_siemens = s.closed_form_siemens = s.published_siemens = Matrix::Constant(3, 5, 2e-7);
  s.sigma_error_siemens = Matrix::Constant(3, 5, 1e-8);
  s.a = s.published_a = Vector::Constant(3, 0.02);
  s.a_error = Vector::Constant(3, 0.001);
  s.b_siemens = s.published_b_siemens = Vector::Constant(3, 1e-7);
  s.b_error_siemens = Vector::Constant(3, 1e-8);
  s.chi_squared = Vector::Constant(3, 3.0);
  s.devices = 100;
  return s;
}

inline validation::Comparison sample_comparison() {
  validation::CompareOptions options;
  options.timing_seconds = 0.0;
  options.circuit_seconds_per_vector = 0.5;
  return validation::compare(ladder_set(small_tile(16, 6), 30), validation::ModelFactory(ladder_model),
                             options);
}

inline data::Manifest sample_manifest() {
  data::Manifest manifest;
  manifest.command = "crosstile run \"a & b.toml\"";
  manifest.config_toml = "[tile]\npreset = \"pcm-14nm\"\n";
  manifest.seed = 42;
  manifest.version = "0.0.1-test";
  manifest.instruction_set = "x86-64-v3";
  return manifest;
}

inline void fill_sample_run(const std::filesystem::path& folder) {
  data::RunFolder run(folder, sample_manifest());
  validation::write_waveforms(run.path("waveforms.h5"), sample_waveforms());
  validation::write_node_voltages(run.path("irdrop.h5"), sample_node_voltages());
  validation::write_accuracy(run.path("accuracy.h5"), sample_accuracy());
  validation::write_training(run.path("training.h5"), sample_training());
  device::write_read_noise_study(run.path("read_noise.h5"), sample_read_noise());
  validation::write_comparison(run.path("comparison.h5"), sample_comparison());
  validation::Results results;
  results.title = "A <b>run</b> & its page";
  results.put(validation::Headline{"headline label", "12.3 %", "a note"});
  results.put(validation::Table{"loose table",
                                "",
                                {"part", "energy (pJ)"},
                                {{"cells", 812.3}, {"wires", 1.25e-7}},
                                "loose caption",
                                "crosstile solve --energy"});
  validation::write_results(run.path("results.json"), results);
  run.record("results.json");
  run.finish();
}

}  // namespace crosstile::testing
