// A sample mean held against what is expected of it.
#pragma once

#include <catch2/catch.hpp>
#include <cmath>

namespace crosstile::test {

/// Within five standard errors of what is expected, and known well enough for that to mean something.
struct MeanCheck {
  double sum = 0.0, squares = 0.0, count = 0.0;
  void add(double value) {
    sum += value;
    squares += value * value;
    count += 1.0;
  }
  void check(double expected) const {
    const double mean = sum / count, five = 5.0 * std::sqrt((squares / count - mean * mean) / count);
    INFO("mean " << mean << ", expected " << expected);
    CHECK(std::abs(mean - expected) < five);
    CHECK(five < 0.3 * std::abs(expected));
  }
};

}  // namespace crosstile::test
