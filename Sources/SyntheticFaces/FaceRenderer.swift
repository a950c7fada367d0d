import Foundation

/// A face drawn in linear light, with the face coordinates of every pixel.
struct RenderedFace: Sendable {
  /// Linear light, about 0…1.
  var image: Canvas
  /// Face coordinates of each pixel, `[height, width]`: they follow the pose, so a region given in
  /// face coordinates sticks to the face.
  var u: [Float]
  var v: [Float]
  /// How much of a pixel is visible facial skin, eyes and mouth included, 0…1.
  var skin: [Float]
  var model: FaceModel
  var scene: FaceScene
}

/// A rectangle of pixels.
struct PixelWindow: Sendable {
  let x: Range<Int>
  let y: Range<Int>
}

/// Draws a `FaceModel` in a `FaceScene`.
///
/// The head is a height field over face coordinates: an egg-shaped dome with hills and hollows for
/// brow ridge, eye sockets, nose, cheeks, lips and chin. A pixel finds its face coordinates by
/// fixed-point iteration through the pose (parallax by depth), features are painted in face
/// coordinates with soft edges one sample wide, and the height field is then lit: diffuse light that
/// wraps further round in red than in blue (light scattered under the skin), a specular lobe, shadows
/// marched through the height field, and occlusion from blurred depth.
struct FaceRenderer {
  let model: FaceModel
  let scene: FaceScene
  let size: Int
  /// Samples a pixel in each direction.
  let oversampling: Int

  /// Half the width of the picture in face units at zoom 1.
  static let extent: Float = 1.04
  /// The face coordinate v in the middle of the picture.
  static let centre: Float = 0.02
  static let headDepth: Float = 0.62

  init(model: FaceModel, scene: FaceScene, size: Int, oversampling: Int = 2) {
    self.model = model
    self.scene = scene
    self.size = size
    self.oversampling = oversampling
  }

  /// The whole picture, or only a window of it: the rest stays black, and shadows cast from outside
  /// the window are missing.
  func render(window: PixelWindow? = nil) -> RenderedFace {
    let n = size * oversampling
    let columns =
      window.map { $0.x.lowerBound * oversampling..<$0.x.upperBound * oversampling }
      ?? 0..<n
    let rows =
      window.map { $0.y.lowerBound * oversampling..<$0.y.upperBound * oversampling }
      ?? 0..<n
    let count = n * n
    let unit = 2 * Self.extent / Float(n) / scene.zoom  // face units a sample

    var albedo = [SIMD4<Float>](repeating: .zero, count: count)  // lane 3: gloss
    // The background is already lit and has no fine edges: one sample a pixel.
    var behind = [SIMD4<Float>](repeating: .zero, count: size * size)
    var depth = [Float](repeating: 0, count: count)
    var cover = [Float](repeating: 0, count: count)
    var translucency = [Float](repeating: 0, count: count)
    var skin = [Float](repeating: 0, count: count)
    let painter = FacePainter(model: model, scene: scene, unit: unit)

    // Face coordinates change slowly: found at the corners of the pixels, interpolated between.
    let cosRoll = cosf(scene.roll)
    let sinRoll = sinf(scene.roll)
    let corners = size + 1
    var cornerU = [Float](repeating: 0, count: corners * corners)
    var cornerV = cornerU
    for y in (rows.lowerBound / oversampling)...(rows.upperBound / oversampling) {
      let py = (Float(y) / Float(size) * 2 - 1) * Self.extent
      for x in (columns.lowerBound / oversampling)...(columns.upperBound / oversampling) {
        let px = (Float(x) / Float(size) * 2 - 1) * Self.extent
        let qx = (px - scene.shift.x) / scene.zoom
        let qy = (py - scene.shift.y) / scene.zoom + Self.centre
        let (u, v) = painter.faceCoordinates(
          qx * cosRoll + qy * sinRoll, qy * cosRoll - qx * sinRoll)
        cornerU[y * corners + x] = u
        cornerV[y * corners + x] = v
      }
    }
    albedo.withUnsafeMutableBufferPointer { albedo in
      for y in rows {
        let row = y / oversampling
        let ty = (Float(y % oversampling) + 0.5) / Float(oversampling)
        for x in columns {
          let tx = (Float(x % oversampling) + 0.5) / Float(oversampling)
          let k = row * corners + x / oversampling
          let u = mix(
            mix(cornerU[k], cornerU[k + 1], tx),
            mix(cornerU[k + corners], cornerU[k + corners + 1], tx), ty)
          let v = mix(
            mix(cornerV[k], cornerV[k + 1], tx),
            mix(cornerV[k + corners], cornerV[k + corners + 1], tx), ty)
          let s = painter.paint(u: u, v: v)
          let i = y * n + x
          albedo[i] = s.albedo
          depth[i] = s.depth
          cover[i] = s.cover
          translucency[i] = s.translucency
          skin[i] = s.skin
        }
      }
      for y in (rows.lowerBound / oversampling)..<(rows.upperBound / oversampling) {
        let py = ((Float(y) + 0.5) / Float(size) * 2 - 1) * Self.extent
        for x in (columns.lowerBound / oversampling)..<(columns.upperBound / oversampling) {
          let px = ((Float(x) + 0.5) / Float(size) * 2 - 1) * Self.extent
          behind[y * size + x] = painter.background(px, py)
        }
      }
    }

    // Shadows and occlusion are soft: a quarter of the samples is enough.
    let half = n / 2
    var coarse = [Float](repeating: 0, count: half * half)
    var present = [Bool](repeating: false, count: half * half)
    for y in 0..<half {
      for x in 0..<half {
        let i = 2 * y * n + 2 * x
        present[y * half + x] = cover[i] + cover[i + 1] + cover[i + n] + cover[i + n + 1] > 0
        coarse[y * half + x] = (depth[i] + depth[i + 1] + depth[i + n] + depth[i + n + 1]) * 0.25
      }
    }
    let shadow = keyShadow(coarse, present, side: half, unit: 2 * unit)
    let occlusion = ambientOcclusion(coarse, side: half, unit: 2 * unit)

    var image = Canvas(width: n, height: n)
    let key = scene.key
    let halfway = normalised(key + SIMD4(0, 0, 1, 0))
    let fillHalfway = normalised(scene.fill + SIMD4(0, 0, 1, 0))
    let scatter = SIMD4<Float>(0.34, 0.17, 0.12, 0)
    let inverse = 0.5 / unit
    for y in rows {
      let up = max(y - 1, 0) * n
      let down = min(y + 1, n - 1) * n
      let cy = min(y / 2, half - 1) * half
      for x in columns {
        let i = y * n + x
        let c = cover[i]
        let b = behind[(y / oversampling) * size + x / oversampling]
        if c <= 0 {
          image.pixels[i] = b
          continue
        }
        let left = max(x - 1, 0)
        let right = min(x + 1, n - 1)
        var gx = (depth[y * n + right] - depth[y * n + left]) * inverse
        var gy = (depth[down + x] - depth[up + x]) * inverse
        let slope = (gx * gx + gy * gy).squareRoot()
        if slope > 2.4 {
          gx *= 2.4 / slope
          gy *= 2.4 / slope
        }
        let normal = normalised(SIMD4(-gx, -gy, 1, 0))
        let a = albedo[i]
        let t = translucency[i]
        let wrap = scatter * t
        let j = cy + min(x / 2, half - 1)
        let lit = shadow[j]
        let open = occlusion[j]

        let nl = (normal * key).sum()
        var diffuse = SIMD4<Float>(repeating: nl) + wrap
        diffuse.clamp(lowerBound: .zero, upperBound: SIMD4(repeating: 2))
        diffuse /= SIMD4<Float>(repeating: 1) + wrap
        // Shadow edges on skin bleed red.
        let shade = SIMD4<Float>(
          mix(1, lit, 1 - 0.12 * t), lit, mix(lit, lit * lit, 0.3 * t), lit)
        var light = diffuse * shade * scene.keyColour
        light += scene.fillColour * max(0, ((normal * scene.fill).sum() + 0.25) / 1.25)
        let dome = 0.75 - 0.25 * normal.y
        light += scene.ambient * (dome * mix(0.35, 1, open))

        let gloss = a.w
        var specular: SIMD4<Float> = .zero
        if gloss > 0 {
          let nh = max(0, (normal * halfway).sum())
          let nf = max(0, (normal * fillHalfway).sum())
          let edge = square(square(1 - normal.z))
          let nh8 = square(square(square(nh)))
          let lobe = nh8 * nh8 * nh8 * lit
          specular =
            scene.keyColour * (gloss * lobe) + scene.fillColour
            * (gloss * 0.6 * square(square(square(nf))))
            + scene.ambient * (gloss * 0.5 * edge)
        }
        var colour = a
        colour.w = 0
        let result = colour * light * mix(0.8, 1, open) + specular
        image.pixels[i] = c >= 1 ? result : mix(b, result, c)
      }
    }

    var pixelU = [Float](repeating: 0, count: size * size)
    var pixelV = pixelU
    var pixelSkin = pixelU
    let share = 1 / Float(oversampling * oversampling)
    for y in 0..<size {
      for x in 0..<size {
        let k = y * corners + x
        pixelU[y * size + x] =
          0.25 * (cornerU[k] + cornerU[k + 1] + cornerU[k + corners] + cornerU[k + corners + 1])
        pixelV[y * size + x] =
          0.25 * (cornerV[k] + cornerV[k + 1] + cornerV[k + corners] + cornerV[k + corners + 1])
        var sum: Float = 0
        for j in 0..<oversampling {
          for i in 0..<oversampling {
            sum += skin[(y * oversampling + j) * n + x * oversampling + i]
          }
        }
        pixelSkin[y * size + x] = sum * share
      }
    }
    return RenderedFace(
      image: image.reduced(by: oversampling), u: pixelU, v: pixelV, skin: pixelSkin,
      model: model, scene: scene)
  }

  /// How much of the key light reaches each place, 0…1: the height field is walked towards the light.
  private func keyShadow(_ depth: [Float], _ present: [Bool], side: Int, unit: Float) -> [Float] {
    var result = [Float](repeating: 1, count: side * side)
    let lateral = max(square(scene.key.x) + square(scene.key.y), 1e-4).squareRoot()
    let rise = scene.key.z / lateral
    let stepX = scene.key.x / lateral
    let stepY = scene.key.y / lateral
    depth.withUnsafeBufferPointer { depth in
      for y in 0..<side {
        for x in 0..<side where present[y * side + x] {
          let base = depth[y * side + x]
          var blocked: Float = 0
          var distance: Float = 0.02
          for _ in 0..<10 {
            distance *= 1.36
            // Rounded to the nearest sample; steps that leave the picture end the walk.
            let fx = Float(x) + stepX * (distance / unit) + 0.5
            let fy = Float(y) + stepY * (distance / unit) + 0.5
            if fx < 0 || fy < 0 || fx >= Float(side) || fy >= Float(side) { break }
            let px = Int(fx)
            let py = Int(fy)
            let over = depth[py * side + px] - base - rise * distance
            blocked = max(blocked, over / (0.035 + 0.25 * distance))
          }
          result[y * side + x] = 1 - 0.85 * smoothStep(0, 1, blocked)
        }
      }
    }
    return boxBlurred(result, side: side, radius: max(1, side / 64))
  }

  /// How open each place is to the surroundings, 0…1, from how far it lies below its neighbourhood.
  private func ambientOcclusion(_ depth: [Float], side: Int, unit: Float) -> [Float] {
    let near = boxBlurred(depth, side: side, radius: max(1, Int(0.05 / unit)))
    let far = boxBlurred(depth, side: side, radius: max(2, Int(0.16 / unit)))
    var result = depth
    for i in 0..<result.count {
      let hidden = max(0, near[i] - depth[i]) * 9 + max(0, far[i] - depth[i]) * 3
      result[i] = 1 / (1 + hidden)
    }
    return result
  }
}

@inline(__always)
func normalised(_ v: SIMD4<Float>) -> SIMD4<Float> { v / max((v * v).sum(), 1e-12).squareRoot() }

/// Two passes of a running mean over `2 * radius + 1` values, borders repeated.
func boxBlurred(_ values: [Float], side: Int, radius: Int) -> [Float] {
  var rows = values
  var result = values
  let scale = 1 / Float(2 * radius + 1)
  values.withUnsafeBufferPointer { source in
    rows.withUnsafeMutableBufferPointer { target in
      for y in 0..<side {
        let base = y * side
        var sum: Float = 0
        for k in -radius...radius { sum += source[base + min(max(k, 0), side - 1)] }
        for x in 0..<side {
          target[base + x] = sum * scale
          sum +=
            source[base + min(x + radius + 1, side - 1)] - source[base + max(x - radius, 0)]
        }
      }
    }
  }
  rows.withUnsafeBufferPointer { source in
    result.withUnsafeMutableBufferPointer { target in
      for x in 0..<side {
        var sum: Float = 0
        for k in -radius...radius { sum += source[min(max(k, 0), side - 1) * side + x] }
        for y in 0..<side {
          target[y * side + x] = sum * scale
          sum +=
            source[min(y + radius + 1, side - 1) * side + x]
            - source[max(y - radius, 0) * side + x]
        }
      }
    }
  }
  return result
}
