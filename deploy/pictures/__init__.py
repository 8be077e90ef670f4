"""Ask what the dashboards ask, and photograph what Grafana's own components make of the answers.

``boards`` reads a dashboard's JSON, ``variables`` fills in what is chosen, ``asking`` sends the
queries to whoever has the data, ``recording`` keeps all answers of a board in one file, and
``camera`` has a browser draw that file. Tests and the benchmark use the first three.
"""
