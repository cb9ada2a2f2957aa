"""What all stages share: stamps of finished work, processes, task pools, optional packages, downloads."""
