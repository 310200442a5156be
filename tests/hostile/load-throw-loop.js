// tries: throwing something whose toString never returns; verdict: load_error
throw { toString() { for (;;) {} } };
