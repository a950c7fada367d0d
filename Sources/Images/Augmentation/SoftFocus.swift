/// A Gaussian blur as of a lens out of focus, see ``GaussianBlur``: SciPy's, which reaches four standard
/// deviations (torchvision and Albumentations are told how many pixels it takes).
struct SoftFocus: Augmentation {
  static let name = "gaussian_blur"
  static let summary = "blurred by a Gaussian"
  static let part: UInt8 = 7
  static let sigma = AugmentationParameter(
    "sigma", 0.3...1.5, within: 0.01...100, "standard deviation in pixels")
  static let parameters = [sigma]

  let sigma: Double

  init(sigma: Double) { self.sigma = sigma }

  init(_ draws: inout AugmentationDraws) { self.init(sigma: draws.value(of: Self.sigma)) }

  func apply(to image: inout AugmentedImage) {
    image.picture = GaussianBlur(sigma: sigma).applied(to: image.picture)
  }
}
