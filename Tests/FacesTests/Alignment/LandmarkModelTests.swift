import Foundation
import Foundations
import Images
import TestSupport
import Testing

@testable import Faces

@Suite struct LandmarkModelTests {
  let folder = TemporaryFolder()
  let whole: [UInt8]

  init() throws {
    whole = Array(try Data(contentsOf: FaceScenes.golden.appending(path: "landmarks.dat")))
  }

  private func refusal(_ bytes: [UInt8]) throws -> String {
    try folder.write("model.dat", bytes)
    do {
      _ = try LandmarkModel(path: folder("model.dat"))
      return "read"
    } catch let error as FaceError {
      #expect(error.exitStatus == .badData)
      #expect(error.description.hasPrefix(folder("model.dat")))
      #expect(!error.description.contains("\n"))
      return error.detail
    }
  }

  @Test func whatIsNoModelIsRefusedByName() throws {
    #expect(throws: FileError.self) { try LandmarkModel(path: folder("none.dat")) }
    #expect(throws: FileError.self) { try LandmarkModel(path: folder.path) }
    #expect(try refusal([]).contains("no landmark model"))
    #expect(try refusal(Array("BZh91AY&SY".utf8)).contains("bunzip2"))
    #expect(try refusal(Array("<html>not found</html>".utf8)).contains("no landmark model"))
    #expect(try refusal(Array(whole.dropLast())).contains("cut short"))
    #expect(try refusal(whole + [0]).contains("more than a model"))
    // Version 1, a mean shape of 10 numbers: dlib's model of five points.
    #expect(try refusal([1, 1, 0x81, 10, 0x81, 1] + whole[6...]).contains("5 landmarks"))
    // Claims of more than the file can have, in each of its counts, take no memory.
    #expect(try refusal([1, 1, 0x84, 0xFF, 0xFF, 0xFF, 0x7F, 0x81, 1]).contains("damaged"))
    #expect(try refusal(whole).contains("read"))
  }

  @Test func aModelCutShortAnywhereIsRefused() throws {
    var draws = SeededDraws(seed: 1)
    for _ in 0..<200 {
      let length = Int(draws.next() % UInt64(whole.count))
      #expect(try refusal(Array(whole[..<length])).contains("no landmark model"))
    }
  }

  /// What is damaged is refused, or is a model whose points can be computed.
  @Test func aDamagedModelNeverDoesHarm() throws {
    let image = KnownImage.pattern(width: 40, height: 30)
    let box = FaceBox(left: 3, top: 2, right: 33, bottom: 32)
    var draws = SeededDraws(seed: 2)
    var read = 0
    for _ in 0..<300 {
      var bytes = whole
      for _ in 0..<1 + draws.next() % 3 {
        bytes[Int(draws.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: draws.next())
      }
      if try refusal(bytes) == "read" {
        let model = try LandmarkModel(path: folder("model.dat"))
        #expect(model.landmarks(in: image, of: box).count == 68)
        read += 1
      }
    }
    #expect(read > 0 && read < 300)
  }

  @Test func boxesBeyondTheImageHaveLandmarksToo() throws {
    let model = try FaceScenes.smallModel.get()
    for box in [
      FaceBox(left: -50, top: -50, right: 49, bottom: 49),
      FaceBox(left: 1000, top: 1000, right: 1100, bottom: 1100),
      FaceBox(left: 5, top: 5, right: 5, bottom: 5),
      FaceBox(left: 9, top: 9, right: 2, bottom: 2),
    ] {
      for (width, height) in [(1, 1), (60, 40)] {
        let points = model.landmarks(in: KnownImage.pattern(width: width, height: height), of: box)
        #expect(points.count == 68 && points.allSatisfy { $0.x.isFinite && $0.y.isFinite })
      }
    }
  }

  @Test func theDigestIsTheFiles() throws {
    #expect(try FaceScenes.smallModel.get().digest == SHA256.hexadecimal(of: whole))
  }
}

/// Numbers for tests, the same for a seed (SplitMix64).
struct SeededDraws: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
