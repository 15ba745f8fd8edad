# The warnings every file of ours is held to; foreign headers are SYSTEM includes and exempt.
function(tidepool_warnings target)
    target_compile_options(${target} PRIVATE
        -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor -Wimplicit-fallthrough)
    if(TIDEPOOL_WERROR)
        target_compile_options(${target} PRIVATE -Werror)
    endif()
endfunction()
