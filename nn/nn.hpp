// nn: what the tiles are for. Multi-layer perceptrons trained digitally, mapped to conductance pairs on
// tiles, and run through the fast tile models with their DACs, ADCs and memory devices, to say what happens
// to the accuracy.
//   train()  ->  map_network() / make_tile_system()  ->  evaluate_digital(), evaluate_on_tiles()
// Equations: docs/theory.md, "Networks on tiles".
#pragma once

#include "nn/analog.hpp"
#include "nn/evaluate.hpp"
#include "nn/layer.hpp"
#include "nn/mlp.hpp"
#include "nn/network_file.hpp"
#include "nn/tiles.hpp"
#include "nn/train.hpp"
