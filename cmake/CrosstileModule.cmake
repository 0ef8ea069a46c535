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
endif()

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
endfunction()
