"""Programs that command runners start for the tests of whole systems. No test lives here."""
