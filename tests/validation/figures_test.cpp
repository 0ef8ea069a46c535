#include "validation/figures.hpp"

#include <catch2/catch.hpp>
#include <functional>

#include "data/hdf5_file.hpp"
#include "tests/core/scratch.hpp"
#include "tests/validation/sample_run.hpp"

using namespace crosstile;
using namespace crosstile::validation;
using namespace crosstile::testing;

TEST_CASE("Figure files hold what the structs held", "[identity]") {
  const ScratchFolder scratch;
  write_waveforms(scratch / "w.h5", sample_waveforms());
  const data::Hdf5Reader w(scratch / "w.h5", "waveforms", 1);
  CHECK(w.vector("time_s") == sample_waveforms().time_s);
  CHECK(w.matrix("sense_current_ampere") == sample_waveforms().sense_current_ampere);
  CHECK(w.text("sense_current_ampere_labels") == R"(["column 0","column 1"])");
  CHECK_FALSE(w.has("row_voltage_volt"));

  write_node_voltages(scratch / "n.h5", sample_node_voltages());
  const data::Hdf5Reader n(scratch / "n.h5", "node-voltages", 1);
  CHECK(n.matrix("column_voltage_volt") == sample_node_voltages().column_voltage_volt);
  CHECK(n.number("v_read_volt") == 0.2);
  CHECK(n.vector("row_drive") == Vector(Vector::Ones(6)));
  CHECK(n.integers("row_on") == IntMatrix(IntMatrix::Ones(6, 1)));

  write_accuracy(scratch / "a.h5", sample_accuracy());
  const data::Hdf5Reader a(scratch / "a.h5", "accuracy", 1);
  CHECK(a.vector("accuracy")(1) == 0.97);
  CHECK(a.integers("repetitions")(1, 0) == 5);
  CHECK(a.text("labels") == R"(["digital","tiles <with> wires"])");

  write_training(scratch / "t.h5", sample_training());
  const data::Hdf5Reader t(scratch / "t.h5", "training", 1);
  CHECK(t.vector("loss") == sample_training().loss);
  CHECK(t.number("seconds") == 12.5);
  CHECK_FALSE(t.has("train_accuracy"));
}

TEST_CASE("The binomial standard error is sqrt(p (1 - p) / n)", "[kat]") {
  CHECK(binomial_standard_error(0.98, 10000) == Approx(0.0014).epsilon(1e-12));
  CHECK(binomial_standard_error(1.0, 10) == 0.0);
  CHECK_THROWS_WITH(binomial_standard_error(0.5, 0), Catch::Contains("count = 0"));
}

TEST_CASE("Figures with wrong shapes or values are refused by name, and nothing is written", "[error]") {
  const ScratchFolder scratch;
  const auto path = scratch / "x.h5";
  const auto waveforms = [&](const std::function<void(Waveforms&)>& spoil) {
    return [&path, spoil] {
      Waveforms w = sample_waveforms();
      spoil(w);
      write_waveforms(path, w);
    };
  };
  const auto voltages = [&](const std::function<void(NodeVoltages&)>& spoil) {
    return [&path, spoil] {
      NodeVoltages n = sample_node_voltages();
      spoil(n);
      write_node_voltages(path, n);
    };
  };
  const auto accuracy = [&](const std::function<void(Accuracy&)>& spoil) {
    return [&path, spoil] {
      Accuracy a = sample_accuracy();
      spoil(a);
      write_accuracy(path, a);
    };
  };
  const auto training = [&](const std::function<void(Training&)>& spoil) {
    return [&path, spoil] {
      Training t = sample_training();
      spoil(t);
      write_training(path, t);
    };
  };
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<std::pair<std::function<void()>, std::string>> cases{
      {waveforms([](Waveforms& w) { w.time_s.resize(1); }), "time_s has 1 entries"},
      {waveforms([](Waveforms& w) { w.time_s(2) = 0.0; }), "time_s goes back at entry 2"},
      {waveforms([](Waveforms& w) { w.sense_current_ampere.resize(0, 0); }), "sense_current_ampere is empty"},
      {waveforms([](Waveforms& w) { w.sense_labels.pop_back(); }), "2 columns for 1 labels"},
      {waveforms([](Waveforms& w) { w.row_labels = {"row"}; }), "row_voltage_volt is empty but has labels"},
      {waveforms([](Waveforms& w) { w.column_voltage_volt = Matrix::Ones(3, 1); }),
       "column_voltage_volt has 3 rows"},
      {waveforms([&](Waveforms& w) { w.sense_current_ampere(0, 0) = nan; }),
       "sense_current_ampere holds a value that is not finite"},
      {voltages([](NodeVoltages& n) { n.column_voltage_volt.resize(2, 2); }),
       "column_voltage_volt differs in shape"},
      {voltages([](NodeVoltages& n) { n.v_read_volt = 0.0; }), "v_read_volt = 0"},
      {voltages([](NodeVoltages& n) { n.row_drive = Vector::Ones(2); }),
       "row_drive has 2 entries for 6 rows"},
      {voltages([](NodeVoltages& n) { n.row_on = IntVector::Ones(7); }), "row_on has 7 entries for 6 rows"},
      {voltages([](NodeVoltages& n) { n.row_on = IntVector::Constant(6, 2); }), "row_on = 2"},
      {voltages([&](NodeVoltages& n) { n.row_voltage_volt(1, 1) = nan; }),
       "row_voltage_volt holds a value that is not finite"},
      {accuracy([](Accuracy& a) { a.bars.clear(); }), "accuracy.bars is empty"},
      {accuracy([](Accuracy& a) { a.bars[1].accuracy = 97.0; }), "\"tiles <with> wires\" = 97"},
      {accuracy([](Accuracy& a) { a.bars[0].standard_error = -0.1; }), "standard error of \"digital\""},
      {training([](Training& t) { t.loss.resize(0); }), "training.loss is empty"},
      {training([](Training& t) { t.test_accuracy = Vector::Ones(2); }), "test_accuracy has 2 entries"},
      {training([](Training& t) { t.test_accuracy(0) = 1.5; }), "test_accuracy = 1.5"}};
  for (const auto& [call, part] : cases) require_error(error_of(call), ErrorKind::usage, {part});
  CHECK(scratch.entries() == 0);
}
