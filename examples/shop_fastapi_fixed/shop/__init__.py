"""The same shop, mended: three bugs, three ways to mend them."""
