import Foundation

/// One sample of a face before it is lit.
struct FaceSample {
  /// Linear colour; lane 3 is gloss.
  var albedo: SIMD4<Float>
  /// Height above the picture plane in face units.
  var depth: Float
  /// How much of the sample the person covers, 0…1.
  var cover: Float
  /// How much light spreads under the surface: 1 skin, 0 hair and cloth.
  var translucency: Float
  /// How much of the sample is facial skin, 0…1.
  var skin: Float
}

/// Paints samples of one face in one scene; all features are functions of face coordinates.
///
/// One file, because features cover one another: what is skin, shade or hair at a point depends on those
/// painted before it.
struct FacePainter {
  let model: FaceModel
  let scene: FaceScene
  /// Face units a sample, the width of a soft edge.
  let unit: Float

  private let sinYaw: Float
  private let cosYaw: Float
  private let sinPitch: Float
  private let cosPitch: Float
  private let eyePlane: Float
  private let toneNoise: ValueNoise
  private let poreNoise: ValueNoise
  private let hairNoise: ValueNoise
  private let backNoise: ValueNoise
  private let cosTilt: Float
  private let sinTilt: Float
  private let cosBrow: Float
  private let sinBrow: Float
  private let teeth: SIMD4<Float>
  private let white: SIMD4<Float>

  init(model: FaceModel, scene: FaceScene, unit: Float) {
    self.model = model
    self.scene = scene
    self.unit = unit
    sinYaw = sinf(scene.yaw)
    cosYaw = cosf(scene.yaw)
    sinPitch = sinf(scene.pitch)
    cosPitch = cosf(scene.pitch)
    eyePlane = FaceRenderer.headDepth * 0.78
    toneNoise = ValueNoise(seed: model.textureSeed)
    poreNoise = ValueNoise(seed: model.textureSeed &+ 0x51ED_270B)
    hairNoise = ValueNoise(seed: model.textureSeed &+ 0x1234_5671)
    backNoise = ValueNoise(seed: scene.background.seed)
    cosTilt = cosf(model.eyeTilt)
    sinTilt = sinf(model.eyeTilt)
    cosBrow = cosf(model.browTilt)
    sinBrow = sinf(model.browTilt)
    // Eyes and teeth look brighter than they are beside dark skin; keep them near it.
    let beside = mix(0.62, 1, clamp01(luminance(model.skin) / 0.5))
    teeth = linear(218, 208, 194) * beside
    white = linear(206, 200, 196) * beside + SIMD4(0, 0, 0, 0.2)
  }

  /// Soft coverage of a signed distance in face units, positive inside.
  @inline(__always)
  private func edge(_ distance: Float) -> Float { clamp01(0.5 + distance / (1.4 * unit)) }

  // MARK: Shape

  /// Squared radius of the head's outline: below 1 inside.
  @inline(__always)
  private func headRadius(_ u: Float, _ v: Float) -> Float {
    if v < 0 {
      let t2 = square(v / model.craniumHeight)
      return square(u / model.headWidth) + mix(t2, t2 * t2, 0.35)
    }
    let t = v / model.chinHeight
    let t2 = t * t
    let w = model.headWidth * max(0.25, 1 - model.jawTaper * t2)
    return square(u / w) + mix(t2, t2 * t2, model.jawSquareness)
  }

  /// A gentle version of the height for finding face coordinates: slopes stay below one.
  @inline(__always)
  private func parallaxHeight(_ u: Float, _ v: Float) -> Float {
    let r2 = headRadius(u, v)
    let dome = FaceRenderer.headDepth * (1 - 0.72 * r2)
    let nose = 0.8 * model.noseHeight * bump(square(u / 0.28) + square((v - 0.18) / 0.42))
    return max(dome, -0.3) + nose
  }

  /// Face coordinates seen at a point of the (aligned) picture.
  @inline(__always)
  func faceCoordinates(_ x: Float, _ y: Float) -> (u: Float, v: Float) {
    let wide = x * (1 / cosYaw)
    let high = y * (1 / cosPitch)
    var u = wide
    var v = high
    for _ in 0..<3 {
      let z = parallaxHeight(u, v) - eyePlane
      u = wide - z * sinYaw
      v = high - z * sinPitch
    }
    // Faces are not quite symmetric.
    return (u + model.asymmetry * v * (3 - 2 * square(v)), v)
  }

  /// Height of bare head in face units.
  @inline(__always)
  private func headHeight(_ u: Float, _ v: Float, radius r2: Float) -> Float {
    let q = r2 * (0.62 + 0.38 * r2)
    var h = FaceRenderer.headDepth * max(0, 1 - q).squareRoot()
    if r2 > 1 { return h - 0.35 * (r2 - 1) }
    let au = abs(u)
    let ex = au - model.eyeX
    h +=
      0.03 * model.browRidge
      * bump(square((au - 0.25) / 0.3) + square((v - model.eyeY + 0.13) / 0.11))
    h -= 0.075 * bump(square((ex + 0.01) / 0.22) + square((v - model.eyeY) / 0.15))
    h += 0.04 * bump(square(ex / 0.16) + square((v - model.eyeY) / 0.1))
    h += model.cheekFullness * bump(square((au - 0.36) / 0.3) + square((v - 0.2) / 0.3))
    // Nose: a ridge that rises and widens towards the tip, wings beside it.
    let top = model.eyeY - 0.03
    if au < 0.3 && v > top - 0.1 && v < model.noseTip + 0.2 {
      let t = clamp01((v - top) / (model.noseTip - top))
      let width = mix(model.noseBridge * 1.5, model.noseWidth * 1.45, t * t)
      let below = bump(square(max(0, v - model.noseTip + 0.03) / 0.13))
      let above = smoothStep(top - 0.1, top + 0.06, v)
      h +=
        model.noseHeight * (0.25 + 0.75 * t * t.squareRoot()) * above * below
        * bump(square(u / width))
      h += 0.05 * bump((square(u) + square(v - model.noseTip + 0.02)) / square(0.085))
      h +=
        0.065
        * bump(
          square((au - model.noseWidth * 0.78) / 0.06) + square((v - model.noseTip - 0.005) / 0.062)
        )
    }
    // Mouth and chin.
    if v > 0.2 {
      // Nasolabial fold, deeper with a smile.
      let along = (v - model.noseTip + 0.02) / (model.mouthY - model.noseTip + 0.08)
      if along > 0 && along < 1 {
        let fold = mix(model.noseWidth + 0.03, model.mouthHalfWidth + 0.06, along)
        let depth = 0.009 + 0.014 * max(0, scene.smile)
        h -= depth * bump(square((au - fold) / 0.05)) * along * (1 - along) * 4
      }
      h -=
        0.014
        * bump(square(u / 0.035) + square((v - 0.5 * (model.noseTip + model.mouthY) - 0.01) / 0.08))
      h +=
        0.05 * bump(square(u / (model.mouthHalfWidth * 1.25)) + square((v - model.mouthY) / 0.13))
      h +=
        0.02
        * bump(
          square(u / model.mouthHalfWidth)
            + square((v - model.mouthY - model.lowerLip * 0.6) / model.lowerLip))
      h -=
        0.028 * bump(square(u / 0.17) + square((v - model.mouthY - model.lowerLip - 0.055) / 0.06))
      h +=
        model.chinProminence * bump(square(u / 0.24) + square((v - model.chinHeight + 0.17) / 0.17))
    }
    return h
  }

  // MARK: Painting

  /// The sample at a point of the face.
  func paint(u: Float, v: Float) -> FaceSample {
    let au = abs(u)
    let r2 = headRadius(u, v)
    let r = r2.squareRoot()
    var depth = headHeight(u, v, radius: r2)
    let head = edge((1 - r) * 0.62)

    var albedo = SIMD4<Float>.zero
    var cover: Float = 0
    var translucency: Float = 0
    var skin: Float = 0

    // Hair is worked out only near it: not in the middle of the face, nor far outside.
    let outline = hairRadius(u, v)
    let mayHaveHair =
      !model.bald && outline < 1.15
      && (v < model.hairline + model.hairlineCurve * square(u - model.parting * 0.5)
        + model.sweep * u + 0.14
        || au > 0.68 * model.headWidth)
    let theta = mayHaveHair ? strandAngle(u, v) : 0
    let front = mayHaveHair ? frontHair(u, v, theta) : (cover: 0, shade: 1, lift: 0)
    // Hair behind the head.
    let back = mayHaveHair && head < 1 ? backHair(u, v) : 0
    if back > 0 {
      albedo = hairColour(u, v, theta, shade: 0.62)
      cover = back
      depth = mix(depth, 0.02, (1 - head))
    }
    // Neck and clothes.
    if v > 0.45 {
      let neckWidth = model.headWidth * 0.62
      let neck = edge(neckWidth + 0.3 * square(max(0, v - 0.85)) - au)
      if neck > 0 && head < 1 {
        albedo = mix(albedo, skinColour(u, v) * SIMD4(repeating: 0.94), neck)
        cover = max(cover, neck)
        translucency = neck
        let round = max(0, 1 - square(u / (neckWidth + 0.05)))
        depth = mix(depth, 0.1 + 0.3 * round.squareRoot() - 0.15, neck * (1 - head))
      }
      let collar =
        1.03 + 0.06 * model.asymmetry * 100 * 0.2 - 0.12 * min(au, 1) + 0.13
        * bump(square(u / 0.42))
      let cloth = edge(v - collar)
      if cloth > 0 {
        let weave = 1 + 0.15 * poreNoise(u * 34, v * 34) + 0.1 * toneNoise(u * 4, v * 9)
        albedo = mix(albedo, scene.clothes * weave, cloth)
        albedo.w = 0
        cover = max(cover, cloth)
        translucency *= 1 - cloth
        depth = mix(depth, 0.25 + 0.05 * toneNoise(u * 3 + 7, v * 5), cloth * (1 - head))
      }
    }
    // Ears.
    if au > model.headWidth * 0.85 && au < model.headWidth + 0.2 && abs(v - 0.04) < 0.3 {
      let ex = (au - model.headWidth - 0.005) / (0.085 * model.earSize)
      let ey = (v - 0.04 - 0.3 * (au - model.headWidth)) / (0.19 * model.earSize)
      let e2 = ex * ex + ey * ey
      let ear = edge((1 - e2.squareRoot()) * 0.085)
      if ear > 0 && head < 1 {
        let inner = bump(square((ex + 0.25) / 0.6) + square(ey / 0.65))
        albedo = mix(albedo, skinColour(u, v) * SIMD4(1.02, 0.9, 0.88, 1) * (1 - 0.5 * inner), ear)
        cover = max(cover, ear)
        translucency = max(translucency, ear)
        depth = mix(depth, 0.06 - 0.05 * inner + 0.04 * (1 - e2), ear * (1 - head))
      }
    }
    // Head.
    if head > 0 {
      if front.cover < 1 {
        var face = skinColour(u, v)
        paintFeatures(u, v, &face)
        albedo = mix(albedo, face, head)
      }
      cover = max(cover, head)
      translucency = mix(translucency, 1, head)
      skin = head
    }
    // Hair in front.
    if front.cover > 0 {
      albedo = mix(albedo, hairColour(u, v, theta, shade: front.shade), front.cover)
      cover = max(cover, front.cover)
      translucency *= 1 - front.cover
      skin *= 1 - front.cover
      depth += front.lift * front.cover
    }
    return FaceSample(
      albedo: albedo, depth: depth * cosYaw * cosPitch - u * sinYaw - v * sinPitch, cover: cover,
      translucency: translucency, skin: skin)
  }

  /// Skin with uneven tone, blush, freckles, pores, moles and beard shadow; lane 3 is gloss.
  @inline(__always)
  private func skinColour(_ u: Float, _ v: Float) -> SIMD4<Float> {
    let au = abs(u)
    let blotches = toneNoise.fractal(u * 3.1, v * 3.1, SIMD4(1, 0.5, 0.25, 0.12))
    let fine = poreNoise.fractal(u * 12, v * 12, SIMD4(0.5, 1, 0.75, 0.55))
    var c = model.skin * (1 + 0.045 * blotches + 0.036 * model.pores * fine)
    let red =
      model.blush
      * (0.8 * bump(square((au - 0.38) / 0.3) + square((v - 0.2) / 0.24))
        + 0.6 * bump(square(u / 0.16) + square((v - model.noseTip) / 0.14))
        + 0.35 * bump(square(u / 0.3) + square((v - model.chinHeight + 0.12) / 0.15)))
      + 0.25 * blotches
    c *= SIMD4(1 + 0.02 * red, 1 - 0.10 * red, 1 - 0.08 * red, 1)
    // Thin skin below the eyes.
    let bag = bump(square((au - model.eyeX) / 0.17) + square((v - model.eyeY - 0.09) / 0.07))
    c *= SIMD4(1 - 0.10 * bag, 1 - 0.14 * bag, 1 - 0.10 * bag, 1)
    if model.freckles > 0 && v > -0.15 && v < 0.4 {
      let spot = poreNoise(u * 21 + 5, v * 21)
      let zoneWeight = bump(square(au / 0.6) + square((v - 0.12) / 0.28))
      let s = smoothStep(0.45, 0.75, spot) * zoneWeight * model.freckles
      c *= SIMD4(1 - 0.25 * s, 1 - 0.42 * s, 1 - 0.5 * s, 1)
    }
    let moleU = model.moles.lowHalf - u
    let moleV = model.moles.highHalf - v
    let nearest = (moleU * moleU + moleV * moleV).min()
    if nearest < square(0.022) {
      let s = bump(nearest / square(0.022)) * 0.75
      c *= SIMD4(1 - 0.7 * s, 1 - 0.8 * s, 1 - 0.85 * s, 1)
    }
    if model.stubble > 0 || model.beard > 0 {
      let jaw = smoothStep(0.25, 0.52, v + 0.35 * square(u))
      let lip = bump(square(u / 0.26) + square((v - model.mouthY + 0.11) / 0.09))
      let clear = bump(
        square(u / (model.mouthHalfWidth * 1.05)) + square((v - model.mouthY - 0.01) / 0.10))
      let lower = bump(square(u / 0.1) + square((v - model.mouthY - model.lowerLip - 0.03) / 0.05))
      let area = max(max(jaw - 0.8 * lower, lip) - clear, 0)
      if area > 0 {
        let hairs = poreNoise.fractal(u * 30, v * 22 + 4 * u * u, SIMD4(1, 0.5, 0, 0))
        let shadow = clamp01(area) * model.stubble * (0.22 + 0.16 * hairs)
        c = mix(c, model.hairColour * 0.8 + SIMD4(0.03, 0.035, 0.045, 0), clamp01(shadow))
        if model.beard > 0 {
          let full = smoothStep(0.25, 0.8, area + 0.22 * hairs) * model.beard
          c = mix(c, model.hairColour * (0.9 + 0.35 * hairs), full)
        }
      }
    }
    let zone =
      0.6 + 0.5 * bump(square(u / 0.3) + square((v + 0.4) / 0.25))
      + 0.6 * bump(square(u / 0.12) + square((v - 0.12) / 0.3))
      + 0.3 * bump(square((au - 0.38) / 0.2) + square((v - 0.1) / 0.2))
    c.w = model.gloss * zone * (1 + 0.5 * fine)
    return c
  }

  /// Paints brows, eyes, nostrils, mouth and spectacles over the skin.
  @inline(__always)
  private func paintFeatures(_ u: Float, _ v: Float, _ c: inout SIMD4<Float>) {
    let side: Float = u < 0 ? -1 : 1
    let au = abs(u)
    let dx = au - model.eyeX
    let dy = v - model.eyeY
    if dx > -0.26 && dx < 0.28 && dy > -0.36 && dy < 0.2 {
      paintBrow(dx, dy, side, &c)
      paintEye(dx, dy, side, &c)
      if model.spectacles > 0 {
        let d = square(dx / 0.2) + square((dy - 0.015) / 0.15)
        let rim = edge(0.011 - abs(d.squareRoot() - 1) * 0.16)
        c = mix(c, SIMD4(0.02, 0.018, 0.02, 0.35), rim * model.spectacles)
      }
    } else if model.spectacles > 0 && abs(dy + 0.03) < 0.05 && au < 0.6 {
      let bar = edge(0.010 - abs(dy + 0.02 + 0.3 * square(min(au, 0.1))))
      if au < 0.1 || au > model.eyeX + 0.2 {
        c = mix(c, SIMD4(0.02, 0.018, 0.02, 0.3), bar * model.spectacles)
      }
    }
    // Nostrils and the crease round the wings.
    if au < 0.22 && v > 0.1 && v < model.noseTip + 0.1 {
      let nx = (au - model.noseWidth * 0.46) / 0.042
      let ny = (v - model.noseTip - 0.052 - 0.25 * (au - 0.05)) / 0.021
      let hole = bump((nx * nx + ny * ny) * 0.8)
      let wx = (au - model.noseWidth * 0.78) / 0.066
      let wy = (v - model.noseTip - 0.004) / 0.068
      let ring = (wx * wx + wy * wy).squareRoot()
      let crease = bump(square((ring - 1.02) / 0.24)) * smoothStep(-0.4, 0.6, wx + 0.4 * wy)
      let dark = clamp01(0.9 * hole + 0.30 * crease)
      c *= SIMD4(1 - 0.82 * dark, 1 - 0.9 * dark, 1 - 0.9 * dark, 1 - dark)
    }
    if v > model.mouthY - 0.16 && v < model.mouthY + 0.26 && au < model.mouthHalfWidth * 1.35 {
      paintMouth(u, v, &c)
    }
  }

  @inline(__always)
  private func paintBrow(_ dx: Float, _ dy: Float, _ side: Float, _ c: inout SIMD4<Float>) {
    let bx = (dx - 0.01) * cosBrow - (dy + model.browLift) * sinBrow
    let by = (dy + model.browLift + scene.browRaise) * cosBrow + (dx - 0.01) * sinBrow
    let t = bx / model.browLength
    if abs(t) > 1.15 { return }
    let centre = -model.browArch * (1 - square(t - 0.25)) + 0.02
    let half = model.browThickness * (1 - 0.72 * smoothStep(-0.2, 1.05, t))
    let hairs = hairNoise(bx * 42 * side + by * 30, by * 24 - bx * 22 + 9)
    let jag = 0.010 * hairs
    let distance = half - abs(by - centre) + jag
    let ends = smoothStep(-1.12, -0.82, t) * (1 - smoothStep(0.8, 1.1, t))
    let cover = clamp01(0.5 + distance / 0.022) * ends * (0.72 + 0.22 * hairs)
    let colour = model.hairColour * 0.55 + SIMD4(0.012, 0.009, 0.008, 0)
    c = mix(c, colour, clamp01(cover) * 0.92)
  }

  @inline(__always)
  private func paintEye(_ dx: Float, _ dy: Float, _ side: Float, _ c: inout SIMD4<Float>) {
    // Local frame: outwards (away from the nose) and down, tilted.
    let ox = dx * cosTilt - dy * sinTilt
    let oy = dy * cosTilt + dx * sinTilt
    let x = ox / model.eyeHalfWidth
    if abs(x) > 1.6 || abs(oy) > 0.2 { return }
    let x2 = x * x
    let inside = max(0, 1 - x2)
    let upper = -model.eyeHalfHeight * scene.eyesOpen * inside.squareRoot() * (1 - 0.18 * x) * 1.05
    let lower =
      model.eyeHalfHeight * 0.62 * inside * (1 + 0.25 * x) * (0.9 + 0.1 * scene.eyesOpen)
      - 0.012 * max(0, scene.smile) * inside
    // Crease above the lid.
    let fold = upper - 0.022 - 0.012 * model.lidFold - 0.01 * (1 - x2)
    if abs(x) < 1.25 {
      let line =
        bump(square((oy - fold) / 0.014)) * model.lidFold * (1 - smoothStep(0.7, 1.25, abs(x)))
      c *= SIMD4(1 - 0.36 * line, 1 - 0.45 * line, 1 - 0.45 * line, 1)
      let lid = oy < upper && oy > fold ? 1 - abs(x) * 0.8 : 0
      c *= SIMD4(1 - 0.06 * lid, 1 - 0.10 * lid, 1 - 0.09 * lid, 1)
    }
    if abs(x) < 1 {
      let opening = min(edge(oy - upper), edge(lower - oy))
      if opening > 0 {
        // White, redder at the corners, shaded by the upper lid.
        let corner = smoothStep(0.55, 1, abs(x))
        var eye = mix(white, white * SIMD4(0.80, 0.56, 0.53, 1.1), corner * 0.8)
        let gx = ox * side - scene.gaze.x * model.eyeHalfWidth * 0.55
        let gy = oy + 0.004 - scene.gaze.y * model.eyeHalfHeight * 0.6
        let rho = (gx * gx + gy * gy).squareRoot() / model.irisRadius
        let iris = edge((1 - rho) * model.irisRadius)
        if iris > 0 {
          let angle = atan2f(gy, gx)
          let spokes = hairNoise(angle * 5.5, rho * 2.5)
          let ring = 1 - 0.62 * smoothStep(0.72, 1, rho)
          let glow = 1 + 0.35 * smoothStep(-0.2, 0.9, gy / model.irisRadius)
          var colour = model.irisColour * (ring * glow * (1.05 + 0.35 * spokes))
          let pupil = edge((0.42 - rho) * model.irisRadius)
          colour = mix(colour, SIMD4(0.006, 0.005, 0.005, 0), pupil)
          colour.w = 0.2
          eye = mix(eye, colour, iris)
        }
        let lidShadow = 1 - 0.62 * bump(square((oy - upper) / (0.05 * scene.eyesOpen + 0.012)))
        eye *= SIMD4(lidShadow, lidShadow, lidShadow, 1)
        // The window or lamp mirrored in the eye: at the same place in both eyes.
        let off = side > 0 ? scene.catchLightShift : .zero
        let hx = gx / model.irisRadius - scene.catchLight.x - off.x
        let hy = gy / model.irisRadius - scene.catchLight.y - off.y
        let spark = bump((hx * hx + hy * hy) / square(0.30))
        eye += SIMD4(0.9, 0.9, 0.9, 0) * spark
        c = mix(c, eye, opening)
      }
    }
    // Lashes: a dark line along the upper lid, thicker outwards; a faint one below.
    if abs(x) < 1.15 {
      let thick = (0.009 + 0.010 * smoothStep(-0.6, 1, x)) * model.lashes
      let out = x > 0.9 ? (x - 0.9) * 0.1 : 0
      let line = clamp01(0.5 + (thick - abs(oy - upper + out + 0.3 * thick)) / (1.2 * unit + 0.006))
      let fade = 1 - smoothStep(0.95, 1.13, abs(x))
      c = mix(c, SIMD4(0.014, 0.010, 0.009, 0), line * fade * (0.62 + 0.33 * model.lashes))
      let under = bump(square((oy - lower) / 0.012)) * (1 - smoothStep(0.7, 1, abs(x)))
      c = mix(c, c * SIMD4(0.55, 0.42, 0.40, 1), under * 0.6)
    }
  }

  @inline(__always)
  private func paintMouth(_ u: Float, _ v: Float, _ c: inout SIMD4<Float>) {
    let half = model.mouthHalfWidth * (1 + 0.12 * scene.smile)
    let x = u / half
    let x2 = x * x
    let inside = max(0, 1 - x2)
    let arc = inside.squareRoot()
    // The line between the lips bends with the smile; an open mouth parts it.
    let bend = 0.045 * scene.smile * (0.45 - x2) + 0.006 * bump(square(x / 0.3))
    let line = model.mouthY + bend
    let gap = scene.mouthOpen * 0.085 * arc * inside.squareRoot()
    let top = line - 0.25 * gap
    let bottom = line + 0.75 * gap
    let bow =
      1 - model.cupidBow * bump(square(x / 0.24)) + 0.22 * bump(square((abs(x) - 0.25) / 0.3))
    let upper = top - model.upperLip * (1 - 0.25 * max(0, scene.smile)) * inside * bow
    let lower =
      bottom + model.lowerLip * (1 - 0.15 * max(0, scene.smile)) * inside * (0.75 + 0.25 * arc)
    let lips = min(
      clamp01(0.5 + (v - upper) / (1.2 * unit + 0.012)),
      clamp01(0.5 + (lower - v) / (1.2 * unit + 0.014)))
    if lips > 0 && abs(x) < 1 {
      let wrinkles = poreNoise(u * 44, v * 7)
      let lit: Float = v < top ? 0.84 : 1.03
      var colour = model.lipColour * (lit * (1 + 0.09 * wrinkles))
      let shine = bump(square((v - bottom - 0.45 * model.lowerLip) / (0.5 * model.lowerLip)))
      colour.w = model.gloss * (0.6 + 1.6 * shine * (1 + 0.6 * wrinkles))
      c = mix(c, colour, lips * 0.92)
    }
    if gap > 0.004 && abs(x) < 1 {
      let hollow = min(edge(v - top), edge(bottom - v))
      if hollow > 0 {
        let depthIn = (v - top) / max(gap, 0.001)
        let t = (u / 0.052)
        let between = bump(square((t - t.rounded()) / 0.16)) * 0.35
        let tooth = 1 - smoothStep(0.42, 0.62, depthIn + 0.25 * x2)
        let shade = (1 - 0.6 * x2) * smoothStep(-0.1, 0.25, depthIn)
        var colour = mix(
          SIMD4(0.06, 0.018, 0.016, 0.02), teeth * (shade * (1 - between)), tooth)
        colour.w = 0.05
        c = mix(c, colour, hollow)
      }
    }
    // The dark line of closed lips and the corners.
    let closed = gap > 0.004 ? 0.35 : 1
    let seam =
      bump(square((v - top) / 0.013)) * Float(closed) * (1 - smoothStep(0.92, 1.12, abs(x)))
    let corner = bump((square((abs(x) - 1.02) * half) + square(v - line)) / square(0.035))
    let dark = clamp01(0.72 * seam + 0.4 * corner)
    c *= SIMD4(1 - 0.75 * dark, 1 - 0.85 * dark, 1 - 0.83 * dark, 1 - 0.7 * dark)
  }

  // MARK: Hair

  /// Squared radius of the hair's outer outline.
  @inline(__always)
  private func hairRadius(_ u: Float, _ v: Float) -> Float {
    let sideways = model.headWidth + model.hairSide
    if v < 0 {
      let t2 = square(v / (model.craniumHeight + model.hairTop))
      return square(u / sideways) + mix(t2, t2 * t2, 0.45)
    }
    return square(u / (sideways * (1 + 0.10 * min(v, 1))))
  }

  private func backHair(_ u: Float, _ v: Float) -> Float {
    if model.hairSide < 0.06 { return 0 }
    let wave = 0.035 * model.waviness * hairNoise(v * 5, u > 0 ? 1.5 : 8.5)
    let r = hairRadius(u + (u > 0 ? -wave : wave), v).squareRoot()
    let end = edge((model.hairLength + 0.08 * hairNoise(u * 6, 3) - v) * 0.6)
    return edge((1 - r) * 0.7) * end
  }

  @inline(__always)
  private func frontHair(_ u: Float, _ v: Float, _ theta: Float)
    -> (cover: Float, shade: Float, lift: Float)
  {
    if v > 0.25 && model.hairLength < 0.25 { return (0, 0, 0) }
    let au = abs(u)
    let outline = hairRadius(u, v).squareRoot()
    if outline > 1.06 { return (0, 0, 0) }
    var jitter = hairNoise(theta * 13, 0.5) * 0.035 + hairNoise(theta * 34, 2.5) * 0.02
    if model.curl > 0 { jitter = mix(jitter, 0.04 * hairNoise(u * 13, v * 13), model.curl) }
    // Over the forehead: everything above the hairline.
    let line =
      model.hairline + model.hairlineCurve * square(u - model.parting * 0.5)
      + model.sweep * u + jitter * 1.4
    let overhead = clamp01(0.5 + (line - v) / (0.03 + unit))
    // Beside the face, down to where the hair ends.
    let wave = 0.03 * model.waviness * sinf(v * 9 + theta)
    let temple = model.headWidth * (model.hairSide > 0.06 ? 0.90 : 0.925) - 0.10 * max(0, v) + wave
    let beside =
      clamp01(0.5 + (au - temple + jitter * 0.8) / (0.03 + unit))
      * clamp01(0.5 + (model.hairLength - v + jitter) / 0.07)
      * (v > model.hairline ? 1 : 0)
    let wisps =
      hairNoise(theta * 22, 7) * 0.02
      + (model.curl > 0 ? 0.05 * model.curl * hairNoise(u * 9, v * 9 + 30) : 0)
    let envelope = edge((1 - outline + wisps) * 0.8)
    let cover = max(overhead, beside) * envelope
    if cover <= 0 { return (0, 0, 0) }
    let roots = 1 - 0.35 * (1 - smoothStep(0, 0.14, max(line - v, au - temple)))
    return (cover, roots, 0.06 + 0.03 * hairNoise(theta * 9, 4))
  }

  /// Direction of the strands at a point: they fan out from the parting.
  @inline(__always)
  private func strandAngle(_ u: Float, _ v: Float) -> Float {
    let x = u - model.parting
    let y = v + 1.12
    let bendScale = 1.2 + 2.5 * model.waviness
    let bend = (0.05 + 0.22 * model.waviness) * hairNoise(u * bendScale + 3, v * bendScale)
    return atan2f(x, y) * 2.2 + bend
  }

  @inline(__always)
  private func hairColour(_ u: Float, _ v: Float, _ theta: Float, shade: Float) -> SIMD4<Float> {
    let rho = (square(u - model.parting) + square(v + 1.12)).squareRoot()
    let coarse = hairNoise(theta * 11, rho * 1.1 + 20)
    let fine = hairNoise(theta * 31, rho * 1.9 + 40) + 0.6 * hairNoise(theta * 63, rho * 2.5 + 60)
    var strand = model.strands * (0.24 * coarse + 0.26 * fine)
    if model.curl > 0 {
      let knots = hairNoise.fractal(u * 12 + 50, v * 12, SIMD4(0.8, 0.7, 0.4, 0.2))
      strand = mix(strand, 0.45 * knots, model.curl)
    }
    let sheen = bump(square((rho - 0.42 - 0.05 * coarse) / 0.2)) * (0.7 + 0.6 * fine)
    var c = model.hairColour * max(0.18, shade * (1 + strand))
    c += model.hairColour * (0.9 * max(0, sheen)) + SIMD4(repeating: 0.018 * max(0, sheen))
    c.w = 0.03
    return c
  }

  // MARK: Background

  /// The lit background at a point of the picture.
  func background(_ x: Float, _ y: Float) -> SIMD4<Float> {
    let b = scene.background
    let t = clamp01(0.5 + 0.4 * (x * b.gradient.x + y * b.gradient.y))
    var c = mix(b.first, b.second, t)
    let cloud = backNoise.fractal(x * b.cloudScale, y * b.cloudScale, SIMD4(1, 0.5, 0.25, 0.12))
    c = mix(c, b.third, clamp01(b.cloudAmount * (0.5 + 0.7 * cloud)))
    for blob in b.blobs {
      let d = (square(x - blob.x) + square(y - blob.y)).squareRoot()
      let cover = 1 - smoothStep(blob.z * 0.82, blob.z, d)
      c *= 1 + blob.w * cover
    }
    if b.bars.w > 0 {
      let wave = sinf(x * b.bars.x + y * b.bars.y + b.bars.z)
      c *= 1 - b.bars.w * smoothStep(0.55, 0.75, wave)
    }
    if b.texture > 0 {
      c *= 1 + b.texture * backNoise.fractal(x * 12, y * 12, SIMD4(0.5, 1, 0.7, 0.5))
    }
    c.w = 0
    return c
  }
}
