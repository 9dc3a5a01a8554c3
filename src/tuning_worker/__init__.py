"""The program inside a job: suggests parameters, evaluates the objective, records every iteration."""
