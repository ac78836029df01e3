"""Programs with bad manners, started by the tests of the runners as real processes. No test lives here."""
