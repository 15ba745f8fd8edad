#include "proxy/cli/run.h"

int main(int argument_count, char** argument_values) {
    return tidepool::cli::run(argument_count, argument_values);
}
