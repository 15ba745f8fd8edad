# The worker: a program of its own, so that the server and the commands map no image library, and within the one that
# starts it, so that one file is installed. See transform/worker_process.h.
file(GLOB_RECURSE worker_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/transform/worker/*.cpp)
list(REMOVE_ITEM worker_sources ${CMAKE_SOURCE_DIR}/transform/worker/main.cpp)
add_library(worker STATIC ${worker_sources})
target_link_libraries(worker PUBLIC transform PRIVATE PkgConfig::vips PkgConfig::heif PkgConfig::jpeg
    PkgConfig::seccomp)
tidepool_warnings(worker)
tidepool_precompiled(worker)
# The loops over all pixels are optimized in all presets: at -O0 the tests would wait for them most of their time.
set_source_files_properties(transform/worker/resample_kernels.cpp PROPERTIES
    COMPILE_OPTIONS -O2 SKIP_UNITY_BUILD_INCLUSION ON SKIP_PRECOMPILE_HEADERS ON)

add_executable(tidepool-worker transform/worker/main.cpp)
target_link_libraries(tidepool-worker PRIVATE worker)
target_link_options(tidepool-worker PRIVATE -Wl,--as-needed)
tidepool_warnings(tidepool-worker)

# Without what only debuggers read; they find it in tidepool-worker. A part of linking it, as a step of its own would have
# to be done before anything that links worker_process is compiled.
set(worker_program ${CMAKE_CURRENT_BINARY_DIR}/tidepool-worker.stripped)
add_custom_command(TARGET tidepool-worker POST_BUILD BYPRODUCTS ${worker_program} VERBATIM
    COMMAND ${CMAKE_STRIP} --strip-debug -o ${worker_program} $<TARGET_FILE:tidepool-worker>)
set_source_files_properties(transform/worker_program.S PROPERTIES
    OBJECT_DEPENDS ${worker_program} COMPILE_DEFINITIONS "WORKER_PROGRAM=\"${worker_program}\"")
add_library(worker_process STATIC transform/worker_process.cpp transform/worker_program.S)
target_link_libraries(worker_process PUBLIC transform)
tidepool_warnings(worker_process)
if(TIDEPOOL_SANITIZE)
    target_compile_definitions(worker_process PRIVATE TIDEPOOL_SANITIZED)
    target_compile_definitions(worker PRIVATE TIDEPOOL_SANITIZED)
endif()
