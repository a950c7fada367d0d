/// All channels become the pixel's luma, as Pillow's `convert("L")` has it to the last bit, and
/// torchvision's `RandomGrayscale` and OpenCV nearly.
struct Greyscale: Augmentation {
  static let name = "grey"
  static let summary = "stripped of its colours"
  static let part: UInt8 = 6
  static let parameters: [AugmentationParameter] = []

  init() {}

  init(_ draws: inout AugmentationDraws) { self.init() }

  func apply(to image: inout AugmentedImage) {
    image.replacePixels { red, green, blue in
      // Pillow's weights, in 65,536ths.
      let sum = UInt32(red) * 19595 + UInt32(green) * 38470 + UInt32(blue) * 7471 + 0x8000
      let grey = UInt8(sum >> 16)
      return (grey, grey, grey)
    }
  }
}
