// data: what circuit and models share. The tile specification, pulse coding and ADC; and the file formats: reference sets and models
// in HDF5, CSV, IDX images, TOML configurations, run folders (docs/file_format.md).
#pragma once

#include "data/adc.hpp"
#include "data/config.hpp"
#include "data/csv.hpp"
#include "data/hdf5_file.hpp"
#include "data/idx.hpp"
#include "data/pulse.hpp"
#include "data/reference_set.hpp"
#include "data/run_folder.hpp"
#include "data/tile.hpp"
