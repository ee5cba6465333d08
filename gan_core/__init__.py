"""GAN Foundry's library: declare a game, train it, measure it, ship its generator. Imports nothing by itself."""
