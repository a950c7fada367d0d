import Tensors

/// Normal noise of its own on every value, as Albumentations' `GaussNoise` with `per_channel`; see
/// ``Degradation/noise(sigma:)``.
struct PixelNoise: Augmentation {
  static let name = "noise"
  static let summary = "given normal noise"
  static let part: UInt8 = 9
  static let sigma = AugmentationParameter(
    "sigma", 1...8, within: 0...255, "standard deviation in grey levels of 255")
  static let parameters = [sigma]

  let sigma: Double
  /// Whose normal draws are the noise, in the order of memory.
  let generator: CounterGenerator

  init(sigma: Double, generator: CounterGenerator) {
    self.sigma = sigma
    self.generator = generator
  }

  init(_ draws: inout AugmentationDraws) {
    self.init(sigma: draws.value(of: Self.sigma), generator: draws.generator)
  }

  func apply(to image: inout AugmentedImage) {
    image.picture.addNoise(sigma: sigma, generator)
  }
}
