"""How contenders are run: a process for each, asked one at a time, and an arm that stands for it in the rounds."""
