/// Distances from the image's mean grey times a factor, as torchvision's `adjust_contrast` and Pillow's
/// `ImageEnhance.Contrast` (which rounds the mean). Albumentations multiplies distances from black, which
/// makes images brighter or darker too.
struct Contrast: Augmentation {
  static let name = "contrast"
  static let summary = "given more or less contrast"
  static let part: UInt8 = 2
  static let factor = AugmentationParameter(
    "factor", 0.8...1.2, within: 0...10, "of distances from the image's mean grey")
  static let parameters = [factor]

  let factor: Double

  init(factor: Double) { self.factor = factor }

  init(_ draws: inout AugmentationDraws) { self.init(factor: draws.value(of: Self.factor)) }

  func apply(to image: inout AugmentedImage) {
    let pixels = image.picture.pixels
    var sums = (0, 0, 0)
    for i in stride(from: 0, to: pixels.count, by: 3) {
      sums.0 += Int(pixels[i])
      sums.1 += Int(pixels[i + 1])
      sums.2 += Int(pixels[i + 2])
    }
    let sum =
      Luma.red * Double(sums.0) + Luma.green * Double(sums.1) + Luma.blue * Double(sums.2)
    let mean = sum / Double(pixels.count / 3)
    image.replace(by: (0..<256).map { UInt8(level: mean + factor * (Double($0) - mean)) })
  }
}
