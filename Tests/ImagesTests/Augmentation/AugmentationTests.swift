import Foundation
import TestSupport
import Testing

@testable import Images
@testable import Tensors

/// Each augmentation against what Tests/Oracle/augmentations.py wrote.
@Suite struct AugmentationTests {
  private struct Golden: Decodable {
    struct Changed: Decodable {
      let augmentation: String
      let values: [Double]
      let pixels: Data
      let mask: Data?
    }
    struct Drawn: Decodable {
      let augmentation: String
      let sample: Int
      /// nil: the image is not chosen.
      let values: [Double]?
    }
    let mask: Data
    let changed: [Changed]
    let drawn: [Drawn]

    static let file = Result {
      try JSONDecoder().decode(
        Golden.self, from: Data(try ImageGolden.bytes("augmented.json")))
    }
  }

  private static let picture = DegradationTests.picture
  private static let (seed, visit, probability) = (UInt64(5), 3, 0.6)

  /// The draws of a change, in their order.
  private func values(_ change: any Augmentation) -> [Double] {
    switch change {
    case let it as AffineWarp: [it.rotation, it.scale, it.right, it.down]
    case let it as Brightness: [it.shift]
    case let it as Contrast: [it.factor]
    case let it as Gamma: [it.exponent]
    case let it as Saturation: [it.factor]
    case let it as Hue: [it.turn]
    case let it as SoftFocus: [it.sigma]
    case let it as MotionBlur: [it.length, it.angle]
    case let it as PixelNoise: [it.sigma]
    case let it as Sharpening: [it.amount]
    case let it as Downscaling: [it.scale]
    case let it as JPEGCompression: [Double(it.quality)]
    case let it as CoarseDropout:
      it.holes.flatMap { [$0.top, $0.left, $0.height, $0.width] }.map(Double.init)
    default: []
    }
  }

  private func draw(
    _ name: String, probability: Double, sample: Int, visit: Int = Self.visit, height: Int = 29,
    width: Int = 37
  ) throws -> (any Augmentation)? {
    let kind = try #require(Augmentations.all.first { $0.name == name })
    var setting = AugmentationSettings()[name]
    setting.probability = probability
    return Augmentations.draw(
      kind, setting, height: height, width: width, seed: Self.seed, visit: visit, sample: sample)
  }

  @Test func drawsAreThoseOfTheOracle() throws {
    let golden = try Golden.file.get().drawn
    #expect(Set(golden.map(\.augmentation)) == Set(Augmentations.all.map { $0.name }))
    for expected in golden {
      let change = try draw(
        expected.augmentation, probability: Self.probability, sample: expected.sample)
      let found = change.map(values)
      #expect(found?.count == expected.values?.count, "\(expected)")
      for (a, b) in zip(found ?? [], expected.values ?? []) {
        #expect(abs(a - b) < 1e-12, "\(expected)")
      }
    }
  }

  private func change(_ golden: Golden.Changed) throws -> any Augmentation {
    let values = golden.values
    switch golden.augmentation {
    case "affine":
      return AffineWarp(
        rotation: values[0], scale: values[1], right: values[2], down: values[3])
    case "brightness": return Brightness(shift: values[0])
    case "contrast": return Contrast(factor: values[0])
    case "gamma": return Gamma(exponent: values[0])
    case "saturation": return Saturation(factor: values[0])
    case "hue": return Hue(turn: values[0])
    case "grey": return Greyscale()
    case "gaussian_blur": return SoftFocus(sigma: values[0])
    case "motion_blur": return MotionBlur(length: values[0], angle: values[1])
    case "sharpen": return Sharpening(amount: values[0])
    case "downscale": return Downscaling(scale: values[0])
    case "jpeg": return JPEGCompression(quality: Int(values[0]))
    default:
      // These go on drawing: those of sample 0.
      let drawn = try #require(try draw(golden.augmentation, probability: 1, sample: 0))
      #expect(zip(self.values(drawn), values).allSatisfy { abs($0 - $1) < 1e-12 })
      return drawn
    }
  }

  @Test func picturesAreThoseOfSciPyTorchvisionAndPillow() throws {
    let golden = try Golden.file.get()
    #expect(
      Set(golden.changed.map(\.augmentation)) == Set(Augmentations.all.map { $0.name }))
    for expected in golden.changed {
      let label = "\(expected.augmentation) \(expected.values)"
      var image = AugmentedImage(Self.picture, mask: Array(golden.mask))
      try change(expected).apply(to: &image)
      let differences = zip(image.picture.pixels, expected.pixels).map { abs(Int($0) - Int($1)) }
      #expect(differences.count == expected.pixels.count && image.picture != Self.picture)
      let mean = Double(differences.reduce(0, +)) / Double(differences.count)
      switch expected.augmentation {
      case "jpeg": #expect(differences.max()! <= 3 && mean < 0.1, "\(label): \(mean)")
      // Some releases of Pillow take the columns first.
      case "downscale": #expect(differences.max()! <= 1 && mean < 0.1, "\(label): \(mean)")
      // torchvision's weight of red is 0.2989: at most a fortieth of a level in the grey, which moves
      // as many values across a half, or across a whole where it multiplies more.
      case "contrast", "saturation":
        #expect(differences.max()! <= 1 && mean < 0.025, "\(label): \(mean)")
      // Sums in another order, which on a half may round to the other side.
      case "affine", "motion_blur", "hue", "sharpen", "gamma":
        #expect(differences.max()! <= 1 && mean < 0.003, "\(label): \(mean)")
      default: #expect(mean == 0, "\(label): \(mean)")
      }
      #expect(Data(image.mask!) == expected.mask ?? golden.mask, "\(label)")
      #expect(image.isWarped == (expected.mask != nil))
    }
  }

  @Test func neutralValuesChangeNothing() throws {
    let changes: [any Augmentation] = [
      AffineWarp(rotation: 0, scale: 1, right: 0, down: 0), Brightness(shift: 0),
      Contrast(factor: 1), Gamma(exponent: 1), Saturation(factor: 1), Hue(turn: 0),
      SoftFocus(sigma: 0.01), MotionBlur(length: 0, angle: 1),
      PixelNoise(sigma: 0, generator: CounterGenerator(seed: 1, purpose: .augmentation)),
      Sharpening(amount: 0), Downscaling(scale: 1), CoarseDropout(holes: []),
    ]
    for change in changes {
      var image = AugmentedImage(Self.picture)
      try change.apply(to: &image)
      #expect(image.picture == Self.picture, "\(change)")
    }
  }

  /// Sides of 1 and 2 have borders everywhere.
  @Test func imagesOfAnySizeAreTaken() throws {
    for (width, height) in [(1, 1), (1, 5), (2, 2), (9, 2), (3, 3), (64, 48)] {
      for kind in Augmentations.all {
        for sample in 0..<4 {
          let flat = [UInt8](repeating: 77, count: width * height * 3)
          var image = AugmentedImage(
            RGBImage(width: width, height: height, pixels: flat),
            mask: [UInt8](repeating: 255, count: width * height))
          let change = try #require(
            try draw(kind.name, probability: 1, sample: sample, height: height, width: width))
          try change.apply(to: &image)
          #expect(image.picture.width == width && image.picture.height == height)
          #expect(image.picture.pixels.count == flat.count)
          #expect(image.mask == [UInt8](repeating: 255, count: width * height))
          // What has no detail has none to move or blur.
          if ["affine", "gaussian_blur", "motion_blur", "sharpen", "downscale"].contains(kind.name)
          {
            #expect(image.picture.pixels == flat, "\(kind.name) of \(width)x\(height)")
          }
        }
      }
    }
  }

  /// A cross-check that needs no other program: what lies under the mask goes where the mask goes.
  @Test func aMaskFollowsItsPixels() throws {
    let mask = Array(try Golden.file.get().mask)
    let painted = RGBImage(width: 37, height: 29, pixels: mask.flatMap { [$0, $0, $0] })
    for sample in 0..<20 {
      var image = AugmentedImage(painted, mask: mask)
      try #require(try draw("affine", probability: 1, sample: sample)).apply(to: &image)
      let moved = try #require(image.mask)
      #expect(moved != mask && Set(moved) == [0, 255])
      let wrong = moved.indices.filter {
        abs(Int(image.picture.pixels[$0 * 3]) - Int(moved[$0])) > 192
      }
      // A mask's pixel is the nearest one; the picture's is between four.
      #expect(wrong.isEmpty, "sample \(sample)")
    }
  }

  // MARK: Draws

  @Test func everyAugmentationDrawsFromAPartOfItsOwn() {
    #expect(Set(Augmentations.all.map { $0.part }).count == Augmentations.all.count)
    #expect(Set(Augmentations.all.map { $0.name }).count == Augmentations.all.count)
    for kind in Augmentations.all {
      for parameter in kind.parameters {
        let (standard, bounds) = (parameter.standard, parameter.bounds)
        #expect(bounds.contains(standard.lowerBound) && bounds.contains(standard.upperBound))
      }
    }
  }

  /// How often, and with uniform values: χ² of twenty classes, 99.99 % of which is below 50.8.
  @Test func imagesAreChosenAndParametersDrawnEvenly() throws {
    let count = 4000
    for kind in Augmentations.all {
      var chosen = 0
      var classes = [[Double]](
        repeating: [Double](repeating: 0, count: 20), count: kind.parameters.count)
      for sample in 0..<count {
        guard let change = try draw(kind.name, probability: 0.25, sample: sample * 977) else {
          continue
        }
        chosen += 1
        // Whole numbers are few, and holes have several values.
        guard !kind.parameters.contains(where: \.isWhole) else { continue }
        for (i, parameter) in kind.parameters.enumerated() {
          let range = parameter.standard
          let share =
            (values(change)[i] - range.lowerBound) / (range.upperBound - range.lowerBound)
          #expect((0..<1).contains(share))
          classes[i][Int(share * 20)] += 1
        }
      }
      // Five standard deviations.
      let deviation = (Double(count) * 0.25 * 0.75).squareRoot()
      #expect(abs(Double(chosen) - Double(count) * 0.25) < 5 * deviation, "\(kind.name): \(chosen)")
      for counts in classes where counts.contains(where: { $0 > 0 }) {
        let expected = Double(chosen) / 20
        let statistic = counts.map { ($0 - expected) * ($0 - expected) / expected }.reduce(0, +)
        #expect(statistic < 50.8, "\(kind.name): \(statistic)")
      }
    }
  }

  @Test func wholeNumbersIncludeBothEnds() throws {
    var qualities: Set<Int> = []
    var holes: Set<Int> = []
    for sample in 0..<2000 {
      let compression = try draw("jpeg", probability: 1, sample: sample) as? JPEGCompression
      qualities.insert(try #require(compression).quality)
      let dropout = try #require(
        try draw("coarse_dropout", probability: 1, sample: sample) as? CoarseDropout)
      holes.insert(dropout.holes.count)
      for hole in dropout.holes {
        #expect(hole.top >= 0 && hole.top + hole.height <= 29 && hole.height >= 1)
        #expect(hole.left >= 0 && hole.left + hole.width <= 37 && hole.width >= 1)
      }
    }
    #expect(qualities == Set(40...100) && holes == Set(1...4))
  }

  @Test func drawsBelongToTheSampleAndItsVisit() throws {
    for kind in Augmentations.all where !kind.parameters.isEmpty {
      let first = try #require(try draw(kind.name, probability: 1, sample: 3))
      let again = try #require(try draw(kind.name, probability: 0.9999, sample: 3))
      #expect(values(first) == values(again), "\(kind.name)")
      let others = [
        try draw(kind.name, probability: 1, sample: 4),
        try draw(kind.name, probability: 1, sample: 3, visit: 4),
      ]
      for other in others { #expect(values(try #require(other)) != values(first)) }
    }
  }

  // MARK: All of them

  @Test func allAreAppliedInTheOrderOfTheList() throws {
    var settings = AugmentationSettings()
    for kind in Augmentations.all { settings[kind.name].probability = 0.6 }
    settings["jpeg"][range: "quality"] = 90...95
    let augmentations = Augmentations(settings)
    #expect(!augmentations.isEmpty && Augmentations().isEmpty)
    for sample in 0..<8 {
      var expected = AugmentedImage(Self.picture)
      for kind in Augmentations.all {
        let change = Augmentations.draw(
          kind, settings[kind.name], height: 29, width: 37, seed: Self.seed, visit: 1,
          sample: sample)
        try change?.apply(to: &expected)
      }
      var image = AugmentedImage(Self.picture)
      try augmentations.apply(to: &image, seed: Self.seed, visit: 1, sample: sample)
      #expect(image.picture == expected.picture && image.isWarped == expected.isWarped)
    }
  }

  /// The rest draws what it drew without it.
  @Test func switchingOneOnLeavesTheOthersAlone() throws {
    var settings = AugmentationSettings()
    settings["hue"].probability = 0.5
    settings["coarse_dropout"].probability = 0.5
    var more = settings
    more["brightness"].probability = 1
    more["brightness"][range: "shift"] = 0...0
    for sample in 0..<8 {
      var (image, other) = (AugmentedImage(Self.picture), AugmentedImage(Self.picture))
      try Augmentations(settings).apply(to: &image, seed: 9, visit: 0, sample: sample)
      try Augmentations(more).apply(to: &other, seed: 9, visit: 0, sample: sample)
      #expect(image.picture == other.picture)
    }
  }
}
