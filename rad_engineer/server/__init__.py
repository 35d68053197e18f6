"""The server: what runs have done and are doing, over HTTP. It reads run directories and starts no agents."""
