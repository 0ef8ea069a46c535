# One library a module: crosstile_module(name PUBLIC modules... PRIVATE external targets...).
include(CMakeParseArguments)

find_package(Eigen3 3.4 REQUIRED NO_MODULE)
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)

add_library(crosstile_flags INTERFACE)
target_include_directories(crosstile_flags INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(crosstile_flags INTERFACE -Wall -Wextra -Wconversion -Wshadow)
# GCC 12 reports string concatenation wrongly (GCC bug 105651).
target_compile_options(crosstile_flags INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)
if(CROSSTILE_MARCH)
  target_compile_options(crosstile_flags INTERFACE -march=${CROSSTILE_MARCH})
endif()
if(CROSSTILE_SANITIZE)
  target_compile_options(crosstile_flags INTERFACE -fsanitize=${CROSSTILE_SANITIZE} -fno-omit-frame-pointer
                                                   -fno-sanitize-recover=all)
  target_link_options(crosstile_flags INTERFACE -fsanitize=${CROSSTILE_SANITIZE})
  if(CROSSTILE_SANITIZE_EXCEPT)
    target_compile_options(crosstile_flags INTERFACE -fno-sanitize=${CROSSTILE_SANITIZE_EXCEPT})
  endif()
endif()

if(CROSSTILE_FUZZ)
  target_compile_options(crosstile_flags INTERFACE -fsanitize-ignorelist=${PROJECT_SOURCE_DIR}/tests/fuzz/ignore.txt)
endif()
if(CROSSTILE_COVERAGE)
  target_compile_options(crosstile_flags INTERFACE --coverage -fprofile-update=atomic)
  target_link_options(crosstile_flags INTERFACE --coverage)
endif()

# Joined sources are parsed once a batch instead of once a file, and share their template instances: about half the work of a full build.
# The library is joined in the sanitizer builds alone, so that the release build still compiles each of its files, with the includes it names.
set(CROSSTILE_UNITY "none" CACHE STRING "Sources compiled in batches: none, programs (tests and crosstile) or all (the library too)")
set_property(CACHE CROSSTILE_UNITY PROPERTY STRINGS none programs all)
if(NOT CROSSTILE_UNITY MATCHES "^(none|programs|all)$")
  message(FATAL_ERROR "CROSSTILE_UNITY is \"${CROSSTILE_UNITY}\"; allowed: none, programs, all")
endif()

# crosstile_unity(target kind): joins the sources of a target; kind: library or program. Files with flags of their own stay apart.
function(crosstile_unity target kind)
  if(CROSSTILE_UNITY STREQUAL "all" OR (CROSSTILE_UNITY STREQUAL "programs" AND kind STREQUAL "program"))
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 8)
    # In a joined file GCC takes a private type of a .cpp for one of a header.
    target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
  endif()
endfunction()

function(crosstile_module name)
  cmake_parse_arguments(ARG "" "" "PUBLIC;PRIVATE" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  add_library(crosstile_${name} STATIC ${sources})
  add_library(crosstile::${name} ALIAS crosstile_${name})
  target_link_libraries(crosstile_${name} PUBLIC crosstile_flags Eigen3::Eigen Threads::Threads)
  foreach(module ${ARG_PUBLIC})
    target_link_libraries(crosstile_${name} PUBLIC crosstile::${module})
  endforeach()
  target_link_libraries(crosstile_${name} PRIVATE ${ARG_PRIVATE})
  # Kernel files name their vector types and block sizes alike.
  set(kernels ${sources})
  list(FILTER kernels INCLUDE REGEX "_kernels[^/]*\\.cpp$")
  set_source_files_properties(${kernels} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  crosstile_unity(crosstile_${name} library)
endfunction()
