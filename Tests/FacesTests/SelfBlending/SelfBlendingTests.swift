import Foundation
import Images
import Tensors
import Testing

@testable import Faces

/// Fakes made of one real face, against what Tests/Oracle/self_blended.py wrote.
@Suite struct SelfBlendingTests {
  private struct Golden: Decodable {
    struct Drawn: Decodable {
      let shift: [Double]
      let contrast: Double
      let brightness: Double
      let factor: Int?
      let strength: Double?
      let lightness: Double?
      let changesSource: Bool
      let right: Double
      let down: Double
      let scaleX: Double
      let scaleY: Double
      let rows: Int
      let columns: Int
      let inset: Int
      let reach: Int
      let softness: Double
      let ratio: Double
    }
    struct Fake: Decodable {
      let sample: Int
      let extent: String
      let drawn: Drawn
      let pixels: Data
      let mask: Data
    }

    let width: Int
    let height: Int
    let picture: Data
    let box: [Float]
    let landmarks: [[Float]]
    let hull: [[Double]]
    let fakes: [Fake]

    static let file = Result {
      let decoder = JSONDecoder()
      decoder.keyDecodingStrategy = .convertFromSnakeCase
      return try decoder.decode(
        Golden.self,
        from: Data(contentsOf: FaceScenes.golden.appending(path: "self-blended.json")))
    }

    var image: RGBImage { RGBImage(width: width, height: height, pixels: Array(picture)) }

    func extent(_ name: String) throws -> FaceExtent {
      switch name {
      case "landmarks":
        try #require(
          FaceExtent(
            landmarks: landmarks.map { SIMD2($0[0], $0[1]) }, width: width, height: height))
      case "box":
        FaceExtent(
          box: SIMD4(box), margin: 1.3, width: width, height: height)
      default: FaceExtent(margin: nil, width: width, height: height)
      }
    }
  }

  private static let (seed, visit) = (UInt64(5), 2)

  private func blending(_ sample: Int) -> SelfBlending {
    SelfBlending(seed: Self.seed, visit: Self.visit, sample: sample)
  }

  @Test func drawsAreThoseOfTheOracle() throws {
    for fake in try Golden.file.get().fakes {
      let (drawn, found) = (fake.drawn, blending(fake.sample))
      let change = found.change
      let detail: CopyChange.Detail =
        drawn.factor.map { .downscaled($0) }
        ?? .sharpened(strength: drawn.strength!, lightness: drawn.lightness!)
      let numbers = [
        change.shift.x, change.shift.y, change.shift.z, change.contrast, change.brightness,
        found.movement.right, found.movement.down, found.movement.scaleX, found.movement.scaleY,
      ]
      let expected =
        drawn.shift + [
          drawn.contrast, drawn.brightness, drawn.right, drawn.down, drawn.scaleX, drawn.scaleY,
        ]
      #expect(zip(numbers, expected).allSatisfy { abs($0 - $1) < 1e-12 }, "\(fake.sample)")
      #expect(change.detail == detail && found.changesSource == drawn.changesSource)
      #expect(
        found.mask
          == BlendMask(
            rows: drawn.rows, columns: drawn.columns, inset: drawn.inset, reach: drawn.reach,
            softness: drawn.softness))
      #expect(found.ratio == drawn.ratio)
    }
  }

  /// The mask is drawn in by what the paper's first Gaussian reaches, softened by the second; colours, detail,
  /// movement and blending are those of SciPy, OpenCV and Pillow. Weights are float32 here, so that a value
  /// half-way between two levels may be rounded to the other one.
  @Test func picturesAndMasksAreThoseOfSciPyOpenCVAndPillow() throws {
    let golden = try Golden.file.get()
    #expect(Set(golden.fakes.map(\.extent)) == ["landmarks", "box", "unknown"])
    for fake in golden.fakes {
      let made = blending(fake.sample).applied(
        to: golden.image, face: try golden.extent(fake.extent))
      #expect(made.mask == Array(fake.mask), "the mask of \(fake.sample)")
      let differences = zip(made.picture.pixels, fake.pixels).map { abs(Int($0) - Int($1)) }
      #expect(differences.count == golden.picture.count)
      #expect(differences.max()! <= 1, "\(fake.sample)")
      #expect(differences.count { $0 > 0 } <= 10, "\(fake.sample)")
      #expect(made.picture != golden.image)
    }
  }

  @Test func theHullIsThatOfSciPy() throws {
    let golden = try Golden.file.get()
    guard case .hull(let corners) = try golden.extent("landmarks") else {
      Issue.record("no hull")
      return
    }
    #expect(Set(corners) == Set(golden.hull.map { SIMD2($0[0], $0[1]) }))
  }

  @Test func theSameDrawsGiveTheSameFakeAndOthersAnother() throws {
    let golden = try Golden.file.get()
    let face = try golden.extent("landmarks")
    func made(_ seed: UInt64, _ visit: Int, _ sample: Int) -> RGBImage {
      SelfBlending(seed: seed, visit: visit, sample: sample)
        .applied(to: golden.image, face: face).picture
    }
    let one = made(5, 0, 7)
    #expect(made(5, 0, 7) == one)
    #expect(made(6, 0, 7) != one && made(5, 1, 7) != one && made(5, 0, 8) != one)
  }

  /// Ranges and shares of the paper, over 4,000 draws; shares are within five standard deviations.
  @Test func drawsHaveThePapersDistributions() {
    let count = 4000
    let drawn = (0..<count).map { SelfBlending(seed: 1, visit: 0, sample: $0) }
    func share(_ expected: Double, _ isChosen: (SelfBlending) -> Bool) -> Bool {
      let found = Double(drawn.count(where: isChosen)) / Double(count)
      return abs(found - expected) < 5 * (expected * (1 - expected) / Double(count)).squareRoot()
    }
    #expect(share(0.5) { $0.changesSource })
    #expect(share(0.3) { $0.change.shift != .zero })
    #expect(share(0.25) { $0.change.detail == .downscaled(2) })
    #expect(share(0.25) { $0.change.detail == .downscaled(4) })
    #expect(share(0.5) { $0.ratio == 1 })
    for ratio in [0.25, 0.5, 0.75] { #expect(share(1.0 / 6) { $0.ratio == ratio }) }
    // Of all pairs of a reach and an inset of 11 each, 55 make the face smaller.
    #expect(share(55.0 / 121) { $0.mask.inset > $0.mask.reach })
    func spans(_ range: ClosedRange<Double>, _ value: (SelfBlending) -> Double) -> Bool {
      let values = drawn.map(value)
      let margin = 0.01 * (range.upperBound - range.lowerBound)
      return range.contains(values.min()!) && range.contains(values.max()!)
        && values.min()! < range.lowerBound + margin && values.max()! > range.upperBound - margin
    }
    #expect(spans(-20...20) { $0.change.shift.y })
    #expect(spans(0.9...1.1) { $0.change.contrast })
    #expect(spans(-0.1...0.1) { $0.change.brightness })
    #expect(spans(-0.03...0.03) { $0.movement.right })
    #expect(spans(-0.015...0.015) { $0.movement.down })
    #expect(spans(0.95...1 / 0.95) { $0.movement.scaleX })
    #expect(spans(0.95...1 / 0.95) { $0.movement.scaleY })
    #expect(spans(192...256) { Double($0.mask.rows) })
    #expect(spans(192...256) { Double($0.mask.columns) })
    #expect(spans(5...45) { $0.mask.softness })
    #expect(Set(drawn.map(\.mask.inset)) == Set(2...12))
    #expect(Set(drawn.map(\.mask.reach)) == Set(2...12))
  }

  /// What is blended into shows unchanged wherever the face is not.
  @Test func nothingOutsideTheMaskIsTakenFromTheMovedCopy() throws {
    let golden = try Golden.file.get()
    let face = try golden.extent("unknown")
    for sample in 0..<40 {
      let blending = blending(sample)
      let made = blending.applied(to: golden.image, face: face)
      let target =
        blending.changesSource ? golden.image : blending.change.applied(to: golden.image)
      let corner = (0..<golden.width * 4 * 3)
      #expect(made.picture.pixels[corner] == target.pixels[corner], "\(sample)")
      #expect(made.mask.contains(255) && made.mask[0] == 0)
      #expect(made.picture != target)
    }
  }

  /// As often as the copies that faces are blended into: half the share.
  @Test func realPicturesAreChangedAsOftenAsTheCopiesBlendedInto() throws {
    let image = try Golden.file.get().image
    for share in [0, 0.5, 1] {
      var changed = 0
      for sample in 0..<600 {
        let real = SelfBlending.real(image, besides: share, seed: 3, visit: 1, sample: sample)
        changed += real == image ? 0 : 1
      }
      let expected = share / 2
      let deviation = (expected * (1 - expected) / 600).squareRoot()
      #expect(abs(Double(changed) / 600 - expected) <= 5 * deviation, "\(share): \(changed)")
    }
  }

  @Test func smallPicturesAndFacesAtTheBorderAreBlendedToo() {
    for (width, height) in [(1, 1), (2, 3), (8, 10), (300, 17)] {
      let image = RGBImage(
        width: width, height: height,
        pixels: (0..<width * height * 3).map { UInt8(truncatingIfNeeded: $0 * 89) })
      let faces = [
        FaceExtent(margin: nil, width: width, height: height),
        .ellipse(centre: SIMD2(0, 0), radii: SIMD2(0.4, 0.4)),
        .ellipse(centre: SIMD2(1e6, 0), radii: SIMD2(1, 1)),
      ]
      for (sample, face) in faces.enumerated() {
        let made = blending(sample).applied(to: image, face: face)
        #expect(made.picture.width == width && made.picture.height == height)
        #expect(made.mask.count == width * height)
      }
    }
  }
}
