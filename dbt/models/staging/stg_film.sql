with source as (

    select * from {{ source('raw', 'film') }}

),

renamed as (

    select
        cast(film_id as integer) as film_id,
        {{ text('title') }} as title,
        {{ text('description') }} as description,
        cast(release_year as integer) as release_year,
        cast(language_id as integer) as language_id,
        cast(rental_duration as integer) as rental_duration_days,
        cast(rental_rate as decimal(6, 2)) as rental_rate,
        cast(length as integer) as length_minutes,
        cast(replacement_cost as decimal(7, 2)) as replacement_cost,
        cast(rating as varchar) as rating,
        cast(special_features as varchar) as special_features,
        cast(last_update as {{ timestamp_ntz() }}) as updated_at,
        cast(_airbyte_extracted_at as {{ timestamptz() }}) as synced_at
    from source

)

select * from renamed
