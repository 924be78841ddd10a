/* SPDX-License-Identifier: MIT */
/* The commands of the binary. */
#ifndef WEFT_TOOL_H
#define WEFT_TOOL_H

/* argv[0] is the command's name. Returns the exit code. */
int weft_tool_serve(int argc, char **argv);

#endif
