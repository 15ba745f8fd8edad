# tidepool_precompiled(TARGET): the standard headers that most files include are read once for all of them, instead of
# anew for each, and the files of a layer are compiled as one, which takes a third of the time. Only headers that every
# layer may include are among the precompiled, so the layer order holds. What is local to one file of a layer has a name
# that no other file of it uses for something else. Unit tests come together as well (tests/batch.py).
#
# The preset dev does without, unless CI asks for it: there, a file that does not include what it needs does not compile.
option(TIDEPOOL_PRECOMPILE "precompile the headers that most files include, compile the files of a layer as one" OFF)
set(TIDEPOOL_COMMON_HEADERS)
if(TIDEPOOL_PRECOMPILE)
    set(TIDEPOOL_COMMON_HEADERS <algorithm> <array> <atomic> <charconv> <chrono> <coroutine> <expected> <filesystem>
        <functional> <map> <memory> <mutex> <optional> <span> <string> <string_view> <thread> <unordered_map> <utility>
        <vector> <fmt/format.h>)
    # Whoever uses it has the same compile options: some libraries ask for this one, so all get it.
    add_compile_options(-pthread)
    # Times of headers are not kept in it, so that ccache finds it again.
    add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:SHELL:-Xclang -fno-pch-timestamp>")
    file(TOUCH ${CMAKE_BINARY_DIR}/common_headers.cpp)  # a target wants a source
    add_library(common_headers OBJECT ${CMAKE_BINARY_DIR}/common_headers.cpp)
    target_link_libraries(common_headers PRIVATE fmt::fmt)
    target_precompile_headers(common_headers PRIVATE ${TIDEPOOL_COMMON_HEADERS})
endif()

function(tidepool_precompiled target)
    if(TIDEPOOL_PRECOMPILE)
        target_precompile_headers(${target} REUSE_FROM common_headers)
        set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 0)
        target_compile_options(${target} PRIVATE -Wno-shadow)  # of a name in another file
    endif()
endfunction()
