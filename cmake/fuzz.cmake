# SPDX-License-Identifier: BSD-2-Clause
# Each fuzz/x.c is one libFuzzer program, build/fuzz/fuzz/x; its seeds are in fuzz/corpus/x.
if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
  message(FATAL_ERROR "ESTAB_FUZZ needs clang: cmake --preset fuzz")
endif()
file(GLOB fuzz_sources CONFIGURE_DEPENDS fuzz/*.c)
foreach(source ${fuzz_sources})
  get_filename_component(name ${source} NAME_WE)
  add_executable(fuzz_${name} ${source})
  set_target_properties(fuzz_${name} PROPERTIES OUTPUT_NAME ${name}
    RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
  target_include_directories(fuzz_${name} PRIVATE src)
  target_compile_definitions(fuzz_${name} PRIVATE _GNU_SOURCE)
  target_link_libraries(fuzz_${name} PRIVATE $<TARGET_NAME_IF_EXISTS:estab_host> estab
    estab_warnings)
  target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
endforeach()
