// The worker's program, as it was linked (WORKER_PROGRAM is its path), within the one that starts it: see worker_process.cpp.
    .section .rodata.tidepool_worker_program, "a"
    .balign 4096
    .global tidepool_worker_program
    .global tidepool_worker_program_end
tidepool_worker_program:
    .incbin WORKER_PROGRAM
tidepool_worker_program_end:
    .section .note.GNU-stack, "", %progbits
