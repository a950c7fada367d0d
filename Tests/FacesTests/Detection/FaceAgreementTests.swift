import Foundation
import Images
import Testing

@testable import Faces

/// What is found is what Python's dlib finds, on the committed scenes or on those of RFM_FACE_SCENES.
@Suite struct FaceAgreementTests {
  @Test(arguments: [false, true]) func theSameFacesAreFound(grey: Bool) throws {
    let expected = try FaceScenes.load()
    let detector = try FaceDetector()
    var (count, largest, furthest) = (0, Float(0), Float(0))
    for scene in expected.scenes {
      let faces = grey ? scene.grey : scene.rgb
      let found = try detector.faces(in: try FaceScenes.image(scene.file), grey: grey)
      #expect(found.count == faces.count, "\(scene.file)")
      #expect(zip(found, found.dropFirst()).allSatisfy { $0.score >= $1.score })
      // In dlib's order, but faces of almost one score may change places.
      for face in faces {
        let distance = found.map { $0.distance(to: FaceBox(face.box)) }.min() ?? .infinity
        #expect(distance <= 2, "\(scene.file): \(face.box)")
        largest = max(largest, distance)
        let score = found.map { abs($0.score - face.score) }.min() ?? .infinity
        furthest = max(furthest, score)
        count += 1
      }
    }
    #expect(count >= 30)
    #expect(furthest < 0.01)
    if FaceScenes.other != nil {
      print(
        "\(grey ? "grey" : "rgb"): \(count) faces of \(expected.scenes.count) scenes, corners within "
          + "\(largest) pixels, scores within \(furthest)")
    }
  }

  @Test func landmarksOfASmallModelAreDlibs() throws {
    try compare(FaceScenes.smallModel.get(), "small model", \.small)
  }

  @Test(.enabled(if: LandmarkModel.standardPath != nil, "needs Debian's libdlib-data"))
  func landmarksOfThePublishedModelAreDlibs() throws {
    try compare(
      LandmarkModel(path: LandmarkModel.standardPath!), "published model", \.published)
  }

  private func compare(
    _ model: LandmarkModel, _ name: String, _ points: KeyPath<FaceScenes.Face, [[Float]]?>
  ) throws {
    let expected = try FaceScenes.load()
    var (count, largest) = (0, Float(0))
    for scene in expected.scenes {
      let image = try FaceScenes.image(scene.file)
      for face in scene.rgb {
        let goals = try #require(face[keyPath: points])
        #expect(goals.count == LandmarkModel.pointCount)
        let found = model.landmarks(in: image, of: FaceBox(face.box))
        #expect(found.count == goals.count)
        for (point, goal) in zip(found, goals) {
          let distance = max(abs(point.x - goal[0]), abs(point.y - goal[1]))
          #expect(distance <= 1, "\(scene.file): \(point) for \(goal)")
          largest = max(largest, distance)
          count += 1
        }
      }
    }
    #expect(count >= 68 * 30)
    if FaceScenes.other != nil {
      print("\(name): \(count) landmarks within \(largest) pixels")
    }
  }

  @Test func cropsAreThoseOfTheConventionsScripts() throws {
    let expected = try FaceScenes.load()
    let size = expected.crop
    let crops = try FaceScenes.image("crops.png")
    let squared = try FaceCropper(FaceCropSettings(size: size))
    let aligned = try FaceCropper(
      FaceCropSettings(size: size, alignment: .similarity),
      landmarkModel: FaceScenes.smallModel.get())
    var differences: (squared: [Double], aligned: [Double]) = ([], [])
    for scene in expected.scenes {
      let image = try FaceScenes.image(scene.file)
      for face in scene.crops ?? [] {
        let box = FaceBox(scene.rgb[face].box)
        func difference(_ cropper: FaceCropper, left: Int) throws -> Double {
          let top = differences.squared.count * size
          let goal = crops.cropped(left: left, top: top, width: size, height: size)
          let crop = try #require(cropper.crop(box, of: image, mask: nil))
          return meanDifference(crop.image.pixels, goal.pixels)
        }
        let (left, right) = (try difference(squared, left: 0), try difference(aligned, left: size))
        #expect(left == 0, "\(scene.file), as FaceForensics++")
        // OpenCV rounds places to 1/32 of a pixel.
        #expect(right < 0.5, "\(scene.file), as DeepfakeBench")
        differences.squared.append(left)
        differences.aligned.append(right)
      }
    }
    #expect(differences.squared.count == crops.height / size)
    if FaceScenes.other != nil {
      print(
        "\(differences.squared.count) crops: as FaceForensics++ within \(differences.squared.max()!)"
          + " levels on average, as DeepfakeBench within \(differences.aligned.max()!)")
    }
  }
}
