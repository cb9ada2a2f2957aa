"""Parts that pallet trucks are put together from; ``blender.objects.pallet_truck`` does it.

All in the truck's own frame: metres, origin on the floor below the steering axle, the forks reach to +x.
"""
