/// A few rectangles made black, wholly inside the image, as Albumentations' `CoarseDropout` (the squares
/// of DeVries and Taylor's Cutout, 2017, may hang over the border). Whatever hides a part of a forgery
/// leaves it one: a mask stays as it is.
struct CoarseDropout: Augmentation {
  static let name = "coarse_dropout"
  static let summary = "given black rectangles"
  static let part: UInt8 = 13
  static let holes = AugmentationParameter(
    "holes", 1...4, within: 1...100, isWhole: true, "rectangles")
  static let side = AugmentationParameter(
    "side", 0.05...0.2, within: 0.001...1,
    "share of the image's height that a rectangle's is and, drawn anew, of its width")
  static let parameters = [holes, side]

  struct Hole: Sendable, Equatable {
    let top: Int
    let left: Int
    let height: Int
    let width: Int
  }

  let holes: [Hole]

  init(holes: [Hole]) { self.holes = holes }

  /// Draws how many, then for each: height, width, top, left.
  init(_ draws: inout AugmentationDraws) {
    func length(_ share: Double, of side: Int) -> Int {
      max(1, Int((share * Double(side)).rounded()))
    }
    self.init(
      holes: (0..<draws.whole(of: Self.holes)).map { _ in
        let height = length(draws.value(of: Self.side), of: draws.height)
        let width = length(draws.value(of: Self.side), of: draws.width)
        return Hole(
          top: draws.generator.below(draws.height - height + 1),
          left: draws.generator.below(draws.width - width + 1), height: height, width: width)
      })
  }

  func apply(to image: inout AugmentedImage) {
    for hole in holes {
      for y in hole.top..<hole.top + hole.height {
        let start = (y * image.picture.width + hole.left) * 3
        for place in start..<start + hole.width * 3 { image.picture.pixels[place] = 0 }
      }
    }
  }
}
