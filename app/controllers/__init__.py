"""How each way in says it: parse, call one service method, shape."""
