// device: what a single memory cell is. Its conduction law (cell.hpp), and its statistics with their sources:
// programming noise, drift and accumulated read noise (pcm.hpp), nanosecond read noise (nanosecond_noise.hpp);
// correlated noise with its closed forms (noise_spectrum.hpp) and as traces (noise_trace.hpp); the spectrum behind
// published numbers (spectrum_fit.hpp), and the way back from traces to statistics (noise_statistics.hpp).
// Equations and sources: docs/theory.md, "Device statistics".
#pragma once

#include "device/cell.hpp"
#include "device/nanosecond_noise.hpp"
#include "device/noise_spectrum.hpp"
#include "device/noise_statistics.hpp"
#include "device/noise_trace.hpp"
#include "device/pcm.hpp"
#include "device/spectrum_fit.hpp"
