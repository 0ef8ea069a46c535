// tilemodel: the circuit's answer at a price close to a matrix product.
// A model answers for one array of conductances: pulse codes in, column charges out (model.hpp). A
// least-squares correction is fitted to reference sets of the circuit (fit.hpp); what was fitted, with its
// errors and validity range, is kept in a file (model_file.hpp). Forms, their equations and their measured
// errors: docs/theory.md, "Fast tile models".
#pragma once

#include "tilemodel/choose.hpp"
#include "tilemodel/energy.hpp"
#include "tilemodel/fit.hpp"
#include "tilemodel/model.hpp"
#include "tilemodel/model_file.hpp"
#include "tilemodel/row_wires.hpp"
#include "tilemodel/self_check.hpp"
