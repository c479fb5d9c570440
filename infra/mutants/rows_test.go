package mutants_test

var verifying = []mutant{}
