"""What the tests of this folder share: processes, the host, the machine that is no machine, images."""
