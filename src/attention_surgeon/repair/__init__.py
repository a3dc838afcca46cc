"""From a wrong attention to the smallest change that makes it right, verified, and to the test that keeps it so."""
