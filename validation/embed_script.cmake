# Turns the parts of the report script into a C++ byte array: cmake -DPARTS=a.py;b.css;c.py -DOUTPUT=x.cpp [-DFUNCTION=name] -P embed_script.cmake
# A .css part becomes the Python text STYLE.
if(NOT FUNCTION)
  set(FUNCTION report_script)
endif()
set(script "")
foreach(part ${PARTS})
  file(READ ${part} hex HEX)
  if(part MATCHES "\\.css$")
    string(HEX "STYLE = r\"\"\"" open)
    string(HEX "\"\"\"\n" close)
    set(hex "${open}${hex}${close}")
  endif()
  string(APPEND script "${hex}")
endforeach()
string(REGEX REPLACE "(................................)" "\\1\n" script "${script}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," script "${script}")
file(WRITE ${OUTPUT}.new
     "// Made from the report script by embed_script.cmake.\n"
     "#include \"validation/python_process.hpp\"\n\n"
     "namespace crosstile::validation {\n\nstd::string_view ${FUNCTION}();\n\nnamespace {\n"
     "constexpr unsigned char kScript[] = {\n${script}\n};\n}  // namespace\n\n"
     "std::string_view ${FUNCTION}() {\n"
     "  return {reinterpret_cast<const char*>(kScript), sizeof(kScript)};\n}\n\n"
     "}  // namespace crosstile::validation\n")
file(RENAME ${OUTPUT}.new ${OUTPUT})
