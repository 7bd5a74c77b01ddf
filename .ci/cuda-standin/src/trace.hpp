#pragma once
// Prints the functions that led here, without those of the bindings and the standard library. A stack that
// was printed before is only named. Not for two threads at once.
void print_backtrace();
